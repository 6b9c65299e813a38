// The undo log's format: E2UNDO02 of e2fsprogs, so that e2undo(8) can carry it out as well as `extscrub undo`. All in
// blocks of the log's own size; little-endian; checksums are crc32c without a final inversion.
//   block 0      header, 512 bytes
//   super block  the superblock the image has when the log may be undone, its magic number inverted
//   key block    a head, then keys: file system block, bytes, crc; behind it the old bytes of each key, from a block's
//                begin on; then the next key block
// Behind all that, and known to extscrub alone: what each saved block is to have once the commit is done, as a receipt_hash()
// a block in the order of the keys, 0 where that is not known. The header's padding says where (AfterHashes, undo_log.cc).
// A writer or a log belongs to one thread.
#pragma once

#include <array>
#include <filesystem>
#include <vector>

#include "scan/image/image.h"
#include "writeback/undo_log/undo_file.h"

namespace extscrub {

using SuperblockCopy = std::array<std::byte, kSuperblockSize>;

// Old bytes: where they belong, and where in the log they are.
struct UndoKey {
  uint64_t block = 0;  // of the file system
  uint32_t size = 0;   // bytes; the last block of an image may be cut
  uint32_t crc = 0;
  uint64_t at = 0;  // byte of the log
  uint64_t first = 0;  // which of the log's blocks its first one is
};

class UndoLogWriter {
 public:
  // `block_size`: the file system's, and the log's; `offset`: bytes from the start of the image to the file system.
  UndoLogWriter(UndoFile& file, uint32_t block_size, uint64_t offset)
      : file_(file), block_size_(block_size), offset_(offset), position_(2 * uint64_t{block_size}) {}

  // The old bytes from file system block `block` on, 512 blocks at most; `after`: the receipt_hash() of what each of these
  // blocks is to have when the commit is done, 0 for none. 0, or the errno.
  [[nodiscard]] int add(uint64_t block, Bytes old_bytes, std::span<const uint64_t> after);

  // Completes the log: last of all its header, which says that it is finished. `expected`: the superblock that the image
  // is to have when this is undone. Nothing is durable yet. 0, or the errno.
  [[nodiscard]] int finish(const SuperblockCopy& expected);

  [[nodiscard]] uint64_t bytes() const { return position_; }

 private:
  [[nodiscard]] int write_key_block();
  [[nodiscard]] int write_after();
  [[nodiscard]] int append(Bytes bytes);
  [[nodiscard]] int write_piece();
  [[nodiscard]] uint64_t round_up(uint64_t at) const { return (at + block_size_ - 1) / block_size_ * block_size_; }

  UndoFile& file_;
  uint32_t block_size_;
  uint64_t offset_, position_;  // position_: the log's end so far
  uint64_t key_count_ = 0;
  std::vector<UndoKey> keys_;     // of the key block in hand
  std::vector<uint64_t> after_;   // of all blocks so far
  uint64_t after_at_ = 0;         // byte of the log
  std::vector<std::byte> piece_;  // what comes before position_ and is not in the file yet
};

class ReadWindow;  // in undo_log.cc

class UndoLog {
 public:
  // Reads and checks all of it: head, features, bounds, the checksum of every key block and of all old bytes.
  // Errors: it cannot be read, or is not an undo log that is sound and known in every part.
  [[nodiscard]] static Result<UndoLog> open(const std::filesystem::path& path);

  [[nodiscard]] uint32_t block_size() const { return fs_block_size_; }  // of the keys' blocks, bytes
  [[nodiscard]] uint64_t offset() const { return offset_; }             // bytes
  [[nodiscard]] bool finished() const { return finished_; }             // otherwise its writer did not get to the end
  [[nodiscard]] const SuperblockCopy& expected_superblock() const { return expected_; }
  [[nodiscard]] const std::vector<UndoKey>& keys() const { return keys_; }  // by block; they do not overlap

  // The receipt_hash() of what the i-th block of a key is to have after the commit; 0: not known.
  [[nodiscard]] uint64_t after(const UndoKey& key, uint64_t i) const { return after_.empty() ? 0 : after_[key.first + i]; }

  // The old bytes of a key, checked again; `out` of its size.
  [[nodiscard]] Result<void> read(const UndoKey& key, MutableBytes out) const;

 private:
  explicit UndoLog(Image file) : file_(std::move(file)) {}
  [[nodiscard]] Result<void> read_header();
  [[nodiscard]] Result<void> read_keys();
  [[nodiscard]] Result<void> read_key_block(uint64_t& at, ReadWindow& window);
  [[nodiscard]] Result<void> check_places();
  [[nodiscard]] Result<void> read_after();
  [[nodiscard]] Result<void> check(const UndoKey& key, Bytes old_bytes) const;
  [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const;

  Image file_;
  uint32_t log_block_size_ = 0, fs_block_size_ = 0;
  uint64_t offset_ = 0, key_count_ = 0, key_blocks_at_ = 0;
  bool finished_ = false;
  uint64_t blocks_ = 0;  // of all keys so far
  uint64_t after_at_ = 0, after_count_ = 0, after_hash_ = 0;
  SuperblockCopy expected_{};
  std::vector<UndoKey> keys_;
  std::vector<uint64_t> after_;  // empty in a log of another program
};

}  // namespace extscrub
