#include "tests/support/past_image.h"
#include "tests/support/catch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

namespace extscrub::test {

using namespace jbd2;

namespace {

constexpr uint64_t kStep = 1000;       // seconds
constexpr size_t kTagsOfOneBlock = 50;  // in a descriptor block of 1 KiB, in any format

bool is_superblock(Bytes block) {
  const size_t super = block.size() > kSuperblockOffset ? kSuperblockOffset : 0;
  return load<uint16_t>(block, offsetof(ext2_super_block, s_magic)) == EXT2_SUPER_MAGIC ||
         load<uint16_t>(block, super + offsetof(ext2_super_block, s_magic)) == EXT2_SUPER_MAGIC;
}

std::vector<std::byte> whole(const TestImage& image) {
  std::vector<std::byte> bytes(image.size());
  image.read(0, bytes);
  return bytes;
}

}  // namespace

PastImage::PastImage(TestImage image, const LogFormat& format)
    : image_(std::move(image)), format_(format), seconds_(image_.superblock().s_mkfs_time + kStep), next_(format.start),
      sequence_(format.sequence), before_(image_.copy()), right_(image_.copy()) {
  std::istringstream numbers(image_.debugfs("blocks <8>"));
  for (uint64_t block; numbers >> block;) journal_.insert(block);
}

void PastImage::write(const std::vector<std::string>& requests) {
  before_ = image_.copy();
  run_requests(requests);
  changed_ = difference(before_, image_);
  log({changed_.begin(), changed_.end()});
}

void PastImage::write_offline(const std::vector<std::string>& requests) {
  run_requests(requests);
  image_.debugfs("feature -needs_recovery");  // s_wtime is no time to come
  right_ = image_.copy();
}

void PastImage::run_requests(const std::vector<std::string>& requests) {
  seconds_ += kStep;
  const std::string now = fmt::format("@{}", seconds_), script = image_.path().parent_path() / "requests";
  std::ofstream file(script);
  file << "set_current_time " << now << "\n";
  for (std::string request : requests) {
    for (size_t at = 0; (at = request.find("NOW")) != std::string::npos;) request.replace(at, 3, now);
    file << request << "\n";
  }
  file.close();
  const std::string output = run_or_throw({"debugfs", "-w", "-f", script, image_.path()});
  UNSCOPED_INFO(output);
}

void PastImage::log(const std::vector<uint64_t>& blocks, const std::vector<uint64_t>& revoked) {
  LogFormat format = format_;
  format.start = next_;
  format.sequence = sequence_;
  JournalLog log(image_, format);
  if (!revoked.empty()) log.revoke(revoked);
  for (size_t i = 0; i < blocks.size(); i += kTagsOfOneBlock) {
    std::vector<std::pair<uint64_t, std::vector<std::byte>>> part;
    for (size_t k = i; k < std::min(blocks.size(), i + kTagsOfOneBlock); ++k) part.emplace_back(blocks[k], block(blocks[k]));
    log.descriptor(part);
  }
  log.commit(seconds_);
  last_start_ = next_;
  next_ = log.next();
  set_log_fields(log, ++sequence_, 0);  // all is in place
  image_.debugfs("feature -needs_recovery");
  right_ = image_.copy();
}

void PastImage::set_log_fields(const JournalLog& log, uint32_t sequence, uint32_t start) const {
  std::vector<std::byte> fields(8);
  put_be32(fields, 0, sequence);
  put_be32(fields, kStart - kSequence, start);
  image_.write(log.offset_of(0) + kSequence, fields);
  if (format_.incompat & (kIncompatCsumV2 | kIncompatCsumV3)) log.seal_super();
}

void PastImage::reopen() const {
  LogFormat format = format_;
  format.start = last_start_;
  format.sequence = sequence_ - 1;
  const JournalLog log(image_, format);
}

void PastImage::lose(uint64_t block) const { image_.write(image_.offset(block), block_before(block)); }

std::vector<std::byte> PastImage::block_of(const TestImage& image, uint64_t block) {
  std::vector<std::byte> bytes(image.block_size());
  image.read(image.offset(block), bytes);
  return bytes;
}

std::set<uint64_t> PastImage::not_as_written() const { return difference(right_, image_); }

std::set<uint64_t> PastImage::difference(const TestImage& a, const TestImage& b) const {
  const std::vector<std::byte> left = whole(a), right = whole(b);
  const size_t size = image_.block_size();
  std::set<uint64_t> blocks;
  for (size_t at = 0; at + size <= left.size(); at += size) {
    const Bytes was = Bytes(left).subspan(at, size), is = Bytes(right).subspan(at, size);
    if (std::memcmp(was.data(), is.data(), size) != 0 && !is_superblock(was) && !journal_.contains(at / size))
      blocks.insert(at / size);
  }
  return blocks;
}

}  // namespace extscrub::test
