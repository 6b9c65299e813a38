// Writes one set of blocks and reads it back: asynchronously what lies on whole sectors, one after the other what does
// not. One object for all sets of a commit; it allocates when it is made, not later. For one thread.
#pragma once

#include "writeback/commit/async_writer.h"
#include "writeback/commit/medium.h"

namespace extscrub {

class SetWriter final : WriteClient {
 public:
  // All must outlive it.
  SetWriter(Prepared& prepared, Medium& medium, WriteQueue& queue);
  SetWriter(const SetWriter&) = delete;
  SetWriter& operator=(const SetWriter&) = delete;

  // Returns once nothing is in flight: true when all is written, though not durable yet. `phase`: for the progress.
  [[nodiscard]] bool write(WriteSet& set, std::string_view phase);
  [[nodiscard]] bool reads_back(WriteSet& set, std::string_view phase);

  // Somebody wanted it to stop: the image stays armed.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  bool write_some(bool second);
  bool write_unaligned();
  bool piece_reads_back(const Piece& piece, const ReadAhead::Part& part);
  ReadAhead::Part next_read();
  void begin_phase(std::string_view phase) const;
  bool stop_if_cancelled();
  void release(const Piece& piece, MutableBytes out);
  void piece_finished(const Piece& piece, int error);
  BlockNo block_in(const Piece& piece, size_t done) const;

  // WriteClient
  void compose(size_t job, MutableBytes out) override;
  void finished(size_t job, int error) override;
  BlockNo block_at(size_t job, size_t done) const override;
  bool cancelled() const override { return request_.cancelled(); }

  Prepared& prepared_;
  const CommitRequest& request_;
  Medium& medium_;
  AsyncWriter writer_;
  bool stopped_ = false;
  // Of the set that is being written:
  WriteSet* set_ = nullptr;
  std::vector<const Piece*> jobs_;
};

}  // namespace extscrub
