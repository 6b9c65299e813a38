#include "tests/support/journal_log.h"

#include <regex>

#include "scan/format/crc.h"

namespace extscrub::test {

using namespace jbd2;

JournalLog::JournalLog(const TestImage& image, const LogFormat& format) : image_(image), format_(format) {
  // "(12-267):391-646", and "(IND):390" for what is no data.
  static const std::regex run(R"(\((\d+)(?:-\d+)?\):(\d+)(?:-(\d+))?)");
  const std::string map = image.debugfs("stat <8>");
  for (std::sregex_iterator it(map.begin(), map.end(), run); it != std::sregex_iterator(); ++it) {
    const uint64_t first = std::stoull((*it)[2]), last = (*it)[3].matched ? std::stoull((*it)[3]) : first;
    for (uint64_t block = first; block <= last; ++block) places_.push_back(block);
  }
  const Bytes uuid = std::as_bytes(std::span("a journal's uuid", 16));
  std::vector<std::byte> super(image.block_size());
  image.read(offset_of(0), super);
  length_ = be32(super, kMaxLen);
  put_be32(super, kHeaderType, format.version == 1 ? kSuperV1 : kSuperV2);
  put_be32(super, kSequence, format.sequence);
  put_be32(super, kStart, format.start);
  put_be32(super, kCompat, format.compat);
  put_be32(super, kIncompat, format.incompat);
  std::memcpy(super.data() + kUuid, uuid.data(), uuid.size());
  if (format.version == 1) std::fill(super.begin() + kCompat, super.end(), std::byte{0});
  if (v2_or_v3()) super[kChecksumType] = std::byte{kCrc32c};
  image.write(offset_of(0), super);
  seed_ = crc32c(~0u, uuid);
  if (v2_or_v3()) seal_super();
  next_ = format.start;
  sequence_ = format.sequence;
  image.debugfs("feature needs_recovery");
}

bool JournalLog::v2_or_v3() const { return format_.incompat & (kIncompatCsumV2 | kIncompatCsumV3); }

uint64_t JournalLog::offset_of(uint32_t log_block) const { return image_.offset(places_.at(log_block)); }

void JournalLog::seal_super() const {
  std::vector<std::byte> super(kSuperSize);
  image_.read(offset_of(0), super);
  put_be32(super, kChecksum, 0);
  put_be32(super, kChecksum, crc32c(~0u, super));
  image_.write(offset_of(0), super);
}

std::vector<std::byte> JournalLog::block_of(char fill) const { return {image_.block_size(), static_cast<std::byte>(fill)}; }

std::vector<std::byte> JournalLog::header(uint32_t type) const {
  std::vector<std::byte> block(image_.block_size());
  put_be32(block, kHeaderMagic, kMagic);
  put_be32(block, kHeaderType, type);
  put_be32(block, kHeaderSequence, sequence_);
  return block;
}

void JournalLog::put(const std::vector<std::byte>& block) {
  image_.write(offset_of(next_), block);
  if (++next_ == (format_.end ? format_.end : length_)) next_ = 1;
}

void JournalLog::seal_tail(std::vector<std::byte>& block) const {
  if (v2_or_v3()) put_be32(block, block.size() - 4, crc32c(seed_, block));
}

uint32_t JournalLog::tag_checksum(const std::vector<std::byte>& block) const {
  std::vector<std::byte> bytes(4);
  put_be32(bytes, 0, sequence_);
  bytes.insert(bytes.end(), block.begin(), block.end());
  return crc32c(seed_, bytes);
}

void JournalLog::descriptor(const std::vector<std::pair<uint64_t, std::vector<std::byte>>>& blocks) {
  auto block = header(kDescriptor);
  std::vector<std::vector<std::byte>> logged;
  size_t at = kHeaderSize;
  for (size_t i = 0; i < blocks.size(); ++i) {
    auto data = blocks[i].second;
    uint16_t flags = i == 0 ? 0 : kTagSameUuid;
    if (i + 1 == blocks.size()) flags |= kTagLast;
    if (be32(data, 0) == kMagic) {
      flags |= kTagEscaped;
      put_be32(data, 0, 0);
    }
    put_be32(block, at, static_cast<uint32_t>(blocks[i].first));
    const uint32_t crc = tag_checksum(data);
    if (format_.incompat & kIncompatCsumV3) {
      put_be32(block, at + 4, flags);
      put_be32(block, at + 8, static_cast<uint32_t>(blocks[i].first >> 32));
      put_be32(block, at + 12, crc);
      at += 16;
    } else {
      put_be32(block, at + 4, (format_.incompat & kIncompatCsumV2 ? crc << 16 : 0) | flags);
      at += 8;
      if (format_.incompat & kIncompat64Bit) {
        put_be32(block, at, static_cast<uint32_t>(blocks[i].first >> 32));
        at += 4;
      }
      if (format_.incompat & kIncompatCsumV2) at += 2;
    }
    if (!(flags & kTagSameUuid)) at += 16;
    logged.push_back(std::move(data));
  }
  seal_tail(block);
  put(block);
  sum_ = crc32_be(sum_, block);
  for (const auto& data : logged) {
    put(data);
    sum_ = crc32_be(sum_, data);
  }
}

void JournalLog::revoke(const std::vector<uint64_t>& blocks) {
  auto block = header(kRevoke);
  const bool wide = format_.incompat & kIncompat64Bit;
  size_t at = kRevokeHeadSize;
  for (const uint64_t b : blocks) {
    if (wide) put_be32(block, at, static_cast<uint32_t>(b >> 32));
    put_be32(block, at + (wide ? 4 : 0), static_cast<uint32_t>(b));
    at += wide ? 8 : 4;
  }
  put_be32(block, kRevokeCount, static_cast<uint32_t>(at));
  seal_tail(block);
  put(block);
}

void JournalLog::commit(uint64_t seconds) {
  auto block = header(kCommit);
  put_be32(block, kCommitSeconds, static_cast<uint32_t>(seconds >> 32));
  put_be32(block, kCommitSeconds + 4, static_cast<uint32_t>(seconds));
  if (v2_or_v3()) {
    put_be32(block, kCommitChecksum, crc32c(seed_, block));
  } else if (format_.compat & kCompatChecksum) {
    block[kCommitChecksumType] = std::byte{kCrc32};
    block[kCommitChecksumSize] = std::byte{4};
    put_be32(block, kCommitChecksum, sum_);
  }
  put(block);
  sum_ = ~0u;
  ++sequence_;
}

}  // namespace extscrub::test
