#include "scan/journal/journal_blocks.h"

#include "scan/format/crc.h"

namespace extscrub::jbd2 {

std::optional<Header> header_of(Bytes block) {
  if (be32(block, kHeaderMagic) != kMagic) return std::nullopt;
  return Header{be32(block, kHeaderType), be32(block, kHeaderSequence)};
}

size_t read_tags(Bytes descriptor, const JournalSuper& super, std::vector<Tag>& tags) {
  tags.clear();
  const size_t width = super.tag_bytes();
  size_t at = kHeaderSize;
  while (at + width + super.tail_bytes() <= descriptor.size()) {
    Tag tag;
    tag.block = be32(descriptor, at + kTagBlock);
    if (super.has_incompat(kIncompat64Bit)) tag.block |= uint64_t{be32(descriptor, at + kTagBlockHigh)} << 32;
    tag.flags = be16(descriptor, at + kTagFlags16);
    if (super.has_incompat(kIncompatCsumV3))
      tag.checksum = be32(descriptor, at + kTag3Checksum);
    else
      tag.checksum = be16(descriptor, at + kTagChecksum16);
    tags.push_back(tag);
    at += width;
    if (!(tag.flags & kTagSameUuid)) at += kTagUuidSize;
    if (tag.flags & kTagLast) break;
  }
  return at;
}

bool tail_matches(Bytes block, const JournalSuper& super) {
  if (!super.csum_v2_or_v3()) return true;
  const size_t at = block.size() - sizeof(uint32_t);
  const uint32_t crc = crc32c_of(crc32c(super.csum_seed, block.first(at)), uint32_t{0});
  return be32(block, at) == crc;
}

bool commit_matches(Bytes block, const JournalSuper& super, uint32_t crc) {
  const uint32_t found = be32(block, kCommitChecksum);
  if (super.csum_v2_or_v3()) {
    uint32_t own = crc32c(super.csum_seed, block.first(kCommitChecksum));
    own = crc32c_of(own, uint32_t{0});
    return found == crc32c(own, block.subspan(kCommitChecksum + sizeof(uint32_t)));
  }
  if (!(super.compat & kCompatChecksum)) return true;
  const auto type = std::to_integer<uint8_t>(block[kCommitChecksumType]);
  const auto size = std::to_integer<uint8_t>(block[kCommitChecksumSize]);
  return (type == kCrc32 && size == sizeof(uint32_t) && found == crc) || (type == 0 && size == 0 && found == 0);
}

uint32_t tag_checksum(Bytes bytes, const JournalSuper& super, uint32_t sequence) {
  const uint32_t full = crc32c(crc32c_of(super.csum_seed, __builtin_bswap32(sequence)), bytes);
  return super.has_incompat(kIncompatCsumV3) ? full : full & 0xFFFF;
}

}  // namespace extscrub::jbd2
