// What goes through the pipe between the process that does an image and the run: text for standard error, and what a
// ReportSink is told. A frame is its kind (a byte), its length (8 bytes) and that many bytes.
// The writing end may be used from many threads, the reading end belongs to one. The reader trusts nothing: the process
// at the other end may have been taken over by its image.
#pragma once

#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "cli/isolation/report_sink.h"
#include "cli/isolation/report_wire.h"

namespace extscrub {

// A number fits into a frame with what belongs to it.
enum class FrameKind : char { text = 't', begin = 'b', writing = 'w', report = 'r', close_failed = 'c', end = 'e' };

// In the process that does the image.
class ChannelWriter : public ReportSink {
 public:
  explicit ChannelWriter(int fd) : fd_(fd) {}

  void begin(size_t index, size_t count, const ImageReport& begun) override;
  void writing(const std::filesystem::path& undo_log) override;
  void add(ImageReport report) override;
  void close_failed(const Error& error) override;
  void text(std::string_view text);  // for standard error
  void end();                        // nothing follows

 private:
  void send(FrameKind kind, std::string_view bytes);

  const int fd_;
  std::mutex mutex_;  // a frame goes out in one piece, whoever draws the progress
};

// A stream whose text goes through the channel whenever it is flushed.
class ChannelText : private std::stringbuf, public std::ostream {
 public:
  explicit ChannelText(ChannelWriter& channel) : std::ostream(static_cast<std::stringbuf*>(this)), channel_(channel) {}

 private:
  int sync() override;

  ChannelWriter& channel_;
};

// In the run: makes of the bytes what the sink is told.
class ChannelReader {
 public:
  // `first`: the target that has to be begun first. `budget`: bytes of memory that all reports together may take.
  ChannelReader(std::ostream& text, ReportSink& sink, size_t first, uint64_t& budget)
      : text_(text), sink_(sink), next_(first), budget_(budget) {}

  // False: they make no sense, or ask for too much memory; no more may be fed.
  [[nodiscard]] bool feed(std::string_view bytes);

  [[nodiscard]] bool has_ended() const { return ended_; }  // as it should

 private:
  [[nodiscard]] bool take(FrameKind kind, std::string_view bytes);
  [[nodiscard]] bool take_begin(std::string_view bytes);
  [[nodiscard]] bool take_report(std::string_view bytes);

  std::ostream& text_;
  ReportSink& sink_;
  std::string buffer_;    // of a frame that is not whole
  size_t next_ = 0;       // the target to be begun next
  size_t count_ = 0;      // of targets; 0: not known yet
  bool is_open_ = false;  // a target was begun and has no report yet
  bool ended_ = false;
  uint64_t& budget_;
};

}  // namespace extscrub
