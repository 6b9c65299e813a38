#include "writeback/undo_log/undo_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "scan/format/crc.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

namespace {

constexpr std::string_view kUndoMagic = "E2UNDO02";
constexpr uint64_t kPieceBytes = 1 << 20;  // of the log, written or read at a time
constexpr uint32_t kKeyBlockMagic = 0xCADECADE;
constexpr uint32_t kFinished = 0x1;         // UndoHeader::state
constexpr uint32_t kHasOffset = 0x1;        // UndoHeader::compat
constexpr uint32_t kMaxExtentBlocks = 512;  // what e2undo has a buffer for
constexpr uint32_t kMinLogBlock = 1024, kMaxLogBlock = 1 << 20;
constexpr uint32_t kMinFsBlock = 1024, kMaxFsBlock = 65536;

// In the padding of the header, which e2undo does not look at.
struct AfterHashes {
  std::array<char, 8> magic;
  uint64_t at;     // byte of the log
  uint64_t count;  // of hashes, 8 bytes each
  uint64_t hash;   // receipt_hash() of them all
};
constexpr std::string_view kAfterMagic = "EXTSAFT1";

struct UndoHeader {
  std::array<char, 8> magic;
  uint64_t keys;
  uint64_t super_block;  // these two in blocks of the log
  uint64_t key_block;
  uint32_t log_block_size;
  uint32_t fs_block_size;
  uint32_t superblock_crc;  // with the magic number as it should be
  uint32_t state;
  uint32_t compat, incompat, ro_compat;
  uint32_t unused;
  uint64_t offset;
  AfterHashes after;
  std::array<std::byte, 436 - sizeof(AfterHashes)> padding;
  uint32_t crc;  // of all before it
};
static_assert(sizeof(UndoHeader) == 512 && offsetof(UndoHeader, offset) == 64 && offsetof(UndoHeader, crc) == 508);

struct KeyBlockHead {
  uint32_t magic;
  uint32_t crc;  // of the whole block, this field as zero
  uint64_t unused;
};
struct DiskKey {
  uint64_t block;
  uint32_t crc;
  uint32_t size;
};
static_assert(sizeof(KeyBlockHead) == 16 && sizeof(DiskKey) == 16);

uint64_t keys_per_block(uint32_t log_block_size) { return log_block_size / sizeof(DiskKey) - 1; }

uint32_t header_crc(const UndoHeader& header) { return crc32c(~0u, bytes_of(header).first(offsetof(UndoHeader, crc))); }

bool is_power_of_two(uint32_t n, uint32_t least, uint32_t most) { return std::has_single_bit(n) && n >= least && n <= most; }

// So that nobody takes the copy for a file system's superblock.
void invert_magic(SuperblockCopy& superblock) {
  constexpr size_t at = offsetof(ext2_super_block, s_magic);
  store(superblock, at, static_cast<uint16_t>(~load<uint16_t>(superblock, at)));
}

}  // namespace

// The file's next bytes, filled up to a whole block; the file gets them in large pieces.
int UndoLogWriter::append(Bytes bytes) {
  piece_.insert(piece_.end(), bytes.begin(), bytes.end());
  const uint64_t end = round_up(position_ + bytes.size());
  piece_.resize(piece_.size() + (end - position_ - bytes.size()));
  position_ = end;
  return piece_.size() < kPieceBytes ? 0 : write_piece();
}

int UndoLogWriter::write_piece() {
  const int error = file_.write(position_ - piece_.size(), piece_);
  piece_.clear();
  return error;
}

int UndoLogWriter::add(uint64_t block, Bytes old_bytes, std::span<const uint64_t> after) {
  if (keys_.empty())
    if (const int error = append(std::vector<std::byte>(block_size_))) return error;  // the key block's place
  keys_.push_back({block, static_cast<uint32_t>(old_bytes.size()), crc32c(~0u, old_bytes), position_, after_.size()});
  after_.insert(after_.end(), after.begin(), after.end());
  ++key_count_;
  if (const int error = append(old_bytes)) return error;
  return keys_.size() < keys_per_block(block_size_) ? 0 : write_key_block();
}

// Before the first of its old bytes.
int UndoLogWriter::write_key_block() {
  if (keys_.empty()) return 0;
  const uint64_t at = keys_.front().at - block_size_;
  std::vector<std::byte> bytes(block_size_);
  KeyBlockHead head{kKeyBlockMagic, 0, 0};
  store(bytes, 0, head);
  for (size_t i = 0; i < keys_.size(); ++i)
    store(bytes, (i + 1) * sizeof(DiskKey), DiskKey{keys_[i].block, keys_[i].crc, keys_[i].size});
  head.crc = crc32c(~0u, bytes);
  store(bytes, 0, head);
  keys_.clear();
  const uint64_t in_file = position_ - piece_.size();
  if (at < in_file) return file_.write(at, bytes);
  std::ranges::copy(bytes, piece_.begin() + static_cast<ptrdiff_t>(at - in_file));
  return 0;
}

// Whole blocks, so that a log that was cut is noticed wherever that was.
int UndoLogWriter::write_after() {
  after_at_ = position_;
  after_.resize(round_up(after_.size() * sizeof(uint64_t)) / sizeof(uint64_t));
  return append(std::as_bytes(std::span(after_)));
}

int UndoLogWriter::finish(const SuperblockCopy& expected) {
  if (const int error = write_key_block()) return error;
  if (const int error = write_after()) return error;
  if (const int error = write_piece()) return error;
  UndoHeader header{};
  std::ranges::copy(kUndoMagic, header.magic.begin());
  header.keys = key_count_;
  header.super_block = 1;
  header.key_block = 2;
  header.log_block_size = header.fs_block_size = block_size_;
  header.superblock_crc = crc32c(~0u, expected);
  header.state = kFinished;
  if (offset_ > 0) {
    header.compat = kHasOffset;
    header.offset = offset_;
  }
  std::ranges::copy(kAfterMagic, header.after.magic.begin());
  header.after.at = after_at_;
  header.after.count = after_.size();
  header.after.hash = receipt_hash(std::as_bytes(std::span(after_)));
  header.crc = header_crc(header);
  SuperblockCopy disguised = expected;
  invert_magic(disguised);
  if (const int error = file_.write(block_size_, disguised)) return error;
  return file_.write(0, bytes_of(header));
}

Result<UndoLog> UndoLog::open(const std::filesystem::path& path) {
  auto file = Image::open(path);
  if (!file) return std::unexpected(file.error());
  UndoLog log(std::move(*file));
  if (auto done = log.read_header(); !done) return std::unexpected(done.error());
  if (auto done = log.read_keys(); !done) return std::unexpected(done.error());
  if (auto done = log.read_after(); !done) return std::unexpected(done.error());
  if (auto done = log.check_places(); !done) return std::unexpected(done.error());
  return log;
}

std::unexpected<Error> UndoLog::wrong(std::string_view what) const {
  return std::unexpected(Error{.subject = file_.path().string(), .after = fmt::format(" cannot be used: {}", what)});
}

Result<void> UndoLog::read_header() {
  UndoHeader header{};
  if (file_.size() < sizeof header || !file_.read(0, mutable_bytes_of(header)) || !std::ranges::equal(header.magic, kUndoMagic))
    return wrong("it is not an undo log (E2UNDO02)");
  if (header.crc != header_crc(header)) return wrong("the checksum of its header is wrong");
  if (!is_power_of_two(header.log_block_size, kMinLogBlock, kMaxLogBlock) ||
      !is_power_of_two(header.fs_block_size, kMinFsBlock, kMaxFsBlock))
    return wrong("its header has a block size that is none");
  if (header.incompat != 0 || header.ro_compat != 0) return wrong("it has features that are not known");
  log_block_size_ = header.log_block_size;
  fs_block_size_ = header.fs_block_size;
  finished_ = (header.state & kFinished) != 0;
  offset_ = (header.compat & kHasOffset) != 0 ? header.offset : 0;
  key_count_ = header.keys;
  const uint64_t blocks = file_.size() / log_block_size_;
  if (header.super_block >= blocks || header.key_block > blocks || key_count_ > file_.size() / sizeof(DiskKey) ||
      offset_ > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return wrong("it is shorter than its header says");
  key_blocks_at_ = header.key_block * log_block_size_;
  if (std::ranges::equal(header.after.magic, kAfterMagic)) {
    after_at_ = header.after.at;
    after_count_ = header.after.count;
    after_hash_ = header.after.hash;
  }
  if (auto read = file_.read(header.super_block * log_block_size_, expected_); !read) return read;
  invert_magic(expected_);
  if (crc32c(~0u, expected_) != header.superblock_crc) return wrong("the checksum of its superblock is wrong");
  return {};
}

// A file read from its begin to its end, in large pieces. Belongs to one thread.
class ReadWindow {
 public:
  explicit ReadWindow(const Image& file) : file_(file) {}

  // `size` bytes from byte `at` of the file, which has them; until the next call.
  Result<Bytes> bytes(uint64_t at, uint64_t size) {
    if (at < at_ || at + size > at_ + buffer_.size()) {
      buffer_.resize(std::min(std::max(size, kPieceBytes), file_.size() - at));
      at_ = at;
      if (auto read = file_.read(at, buffer_); !read) {
        buffer_.clear();
        return std::unexpected(read.error());
      }
    }
    return Bytes(buffer_).subspan(at - at_, size);
  }

 private:
  const Image& file_;
  uint64_t at_ = 0;
  std::vector<std::byte> buffer_;
};

Result<void> UndoLog::read_keys() {
  ReadWindow window(file_);
  uint64_t at = key_blocks_at_;
  while (keys_.size() < key_count_)
    if (auto done = read_key_block(at, window); !done) return done;
  return {};
}

Result<void> UndoLog::read_key_block(uint64_t& at, ReadWindow& window) {
  if (file_.size() < log_block_size_ || at > file_.size() - log_block_size_)
    return wrong("it ends before its last block of keys");
  const auto block = window.bytes(at, log_block_size_);
  if (!block) return std::unexpected(block.error());
  std::vector<std::byte> bytes(block->begin(), block->end());
  auto head = load<KeyBlockHead>(bytes);
  const uint32_t crc = head.crc;
  head.crc = 0;
  store(bytes, 0, head);
  if (head.magic != kKeyBlockMagic || crc != crc32c(~0u, bytes))
    return wrong(fmt::format("the block of keys at byte {} is damaged", at));
  at += log_block_size_;

  const uint64_t count = std::min(keys_per_block(log_block_size_), key_count_ - keys_.size());
  for (uint64_t i = 0; i < count; ++i) {
    const auto disk = load<DiskKey>(bytes, (i + 1) * sizeof(DiskKey));
    const UndoKey key{disk.block, disk.size, disk.crc, at, blocks_};
    if (key.size == 0 || key.size > uint64_t{kMaxExtentBlocks} * log_block_size_ || at > file_.size() ||
        key.size > file_.size() - at)
      return wrong(fmt::format("the old bytes of block {} are not all there", key.block));
    const auto old_bytes = window.bytes(at, key.size);
    if (!old_bytes) return std::unexpected(old_bytes.error());
    if (auto checked = check(key, *old_bytes); !checked) return checked;
    keys_.push_back(key);
    blocks_ += (uint64_t{key.size} + fs_block_size_ - 1) / fs_block_size_;
    at += (uint64_t{key.size} + log_block_size_ - 1) / log_block_size_ * log_block_size_;
  }
  return {};
}

// Of a log that has them, they are at least as many as its keys have blocks.
Result<void> UndoLog::read_after() {
  if (after_count_ == 0) return {};
  if (after_count_ < blocks_ || after_at_ > file_.size() || after_count_ > (file_.size() - after_at_) / sizeof(uint64_t))
    return wrong("the hashes of what the commit wrote are not all there");
  after_.resize(after_count_);
  const MutableBytes bytes = std::as_writable_bytes(std::span(after_));
  if (auto read = file_.read(after_at_, bytes); !read) return read;
  if (receipt_hash(bytes) != after_hash_) return wrong("the hashes of what the commit wrote are damaged");
  return {};
}

Result<void> UndoLog::check_places() {
  std::ranges::sort(keys_, {}, &UndoKey::block);
  const uint64_t most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / fs_block_size_ / 2;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].block > most) return wrong(fmt::format("block {} lies behind any image's end", keys_[i].block));
    const uint64_t end = keys_[i].block + (uint64_t{keys_[i].size} + fs_block_size_ - 1) / fs_block_size_;
    if (i + 1 < keys_.size() && keys_[i + 1].block < end)
      return wrong(fmt::format("it has old bytes of block {} twice", keys_[i + 1].block));
  }
  return {};
}

Result<void> UndoLog::read(const UndoKey& key, MutableBytes out) const {
  if (auto read = file_.read(key.at, out); !read) return read;
  return check(key, out);
}

Result<void> UndoLog::check(const UndoKey& key, Bytes old_bytes) const {
  if (crc32c(~0u, old_bytes) == key.crc) return {};
  return wrong(fmt::format("the checksum of the old bytes of block {} is wrong", key.block));
}

}  // namespace extscrub
