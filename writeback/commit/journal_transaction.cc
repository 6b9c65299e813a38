#include "writeback/commit/journal_transaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "scan/format/crc.h"
#include "scan/format/jbd2_format.h"
#include "scan/format/journal_superblock.h"

namespace extscrub {

using namespace jbd2;

namespace {

// Tags that a descriptor block has room for. The first is followed by the journal's UUID.
size_t tags_per_descriptor(const JournalSpace& space) {
  const size_t room = space.superblock_bytes.size() - kHeaderSize - space.super.tail_bytes() - kTagUuidSize;
  return room / space.super.tag_bytes();
}

class Builder {
 public:
  Builder(const JournalSpace& space, JournalTransaction& out)
      : space_(space), super_(space.super), out_(out), size_(space.superblock_bytes.size()) {}

  // One descriptor block and the blocks it describes.
  void describe(std::span<const BlockImage> blocks) {
    std::vector<std::byte>& descriptor = add_block(kDescriptor);
    size_t at = kHeaderSize;
    for (size_t i = 0; i < blocks.size(); ++i) {
      const Bytes logged = log(blocks[i].bytes);
      uint32_t flags = i == 0 ? 0 : kTagSameUuid;
      if (i + 1 == blocks.size()) flags |= kTagLast;
      if (logged.data() != blocks[i].bytes.data()) flags |= kTagEscaped;
      put_tag(MutableBytes(descriptor).subspan(at), blocks[i].block.value, flags, checksum_of(logged));
      at += super_.tag_bytes();
      if (i > 0) continue;
      std::ranges::copy(std::as_bytes(std::span(space_.uuid)), descriptor.begin() + static_cast<std::ptrdiff_t>(at));
      at += kTagUuidSize;
    }
    if (super_.csum_v2_or_v3()) put_be32(descriptor, size_ - sizeof(uint32_t), crc32c(super_.csum_seed, descriptor));
    // Checksums of version 1 go over all that the transaction has, in the order of the log.
    sum_ = crc32_be(sum_, descriptor);
    for (const Bytes logged : logged_) sum_ = crc32_be(sum_, logged);
    logged_.clear();
  }

  void commit(uint64_t seconds) {
    std::vector<std::byte>& block = add_block(kCommit);
    put_be32(block, kCommitSeconds, static_cast<uint32_t>(seconds >> 32));
    put_be32(block, kCommitSeconds + sizeof(uint32_t), static_cast<uint32_t>(seconds));
    if (super_.csum_v2_or_v3()) {
      put_be32(block, kCommitChecksum, crc32c(super_.csum_seed, block));
    } else if (super_.compat & kCompatChecksum) {
      block[kCommitChecksumType] = std::byte{kCrc32};
      block[kCommitChecksumSize] = std::byte{sizeof(uint32_t)};
      put_be32(block, kCommitChecksum, sum_);
    }
    place(out_.own.emplace_back(size_));  // the zeros behind it
  }

  void begin_log_here() {
    out_.superblock = space_.superblock_bytes;
    begin_log(MutableBytes(out_.superblock).first<kSuperSize>(), space_.first, space_.sequence);
  }

 private:
  void place(Bytes bytes) { out_.log.push_back({space_.free[out_.log.size()], bytes}); }

  // A block of the journal's own, with its header.
  std::vector<std::byte>& add_block(uint32_t type) {
    std::vector<std::byte>& block = out_.own.emplace_back(size_);
    put_be32(block, kHeaderMagic, kMagic);
    put_be32(block, kHeaderType, type);
    put_be32(block, kHeaderSequence, space_.sequence);
    place(block);
    return block;
  }

  // A block that begins like one of the journal's own is logged with zeros there.
  Bytes log(Bytes block) {
    if (be32(block, 0) == kMagic) {
      auto& escaped = out_.own.emplace_back(block.begin(), block.end());
      put_be32(escaped, 0, 0);
      block = escaped;
    }
    place(block);
    logged_.push_back(block);
    return block;
  }

  [[nodiscard]] uint32_t checksum_of(Bytes logged) const {
    if (!super_.csum_v2_or_v3()) return 0;
    return crc32c(crc32c_of(super_.csum_seed, __builtin_bswap32(space_.sequence)), logged);
  }

  void put_tag(MutableBytes tag, uint64_t block, uint32_t flags, uint32_t checksum) const {
    put_be32(tag, kTagBlock, static_cast<uint32_t>(block));
    if (super_.has_incompat(kIncompatCsumV3)) {
      put_be32(tag, kTagChecksum16, flags);  // 32 bits of flags, the lower half in the same place
      put_be32(tag, kTagBlockHigh, static_cast<uint32_t>(block >> 32));
      put_be32(tag, kTag3Checksum, checksum);
      return;
    }
    put_be32(tag, kTagChecksum16, checksum << 16 | flags);
    if (super_.has_incompat(kIncompat64Bit)) put_be32(tag, kTagBlockHigh, static_cast<uint32_t>(block >> 32));
  }

  const JournalSpace& space_;
  const JournalSuper& super_;
  JournalTransaction& out_;
  size_t size_;
  std::vector<Bytes> logged_;  // under the descriptor in hand
  uint32_t sum_ = ~0u;
};

}  // namespace

uint64_t log_blocks_needed(const JournalSpace& space, uint64_t blocks) {
  const uint64_t tags = tags_per_descriptor(space);
  return blocks + (blocks + tags - 1) / tags + 2;
}

std::string obstacle(const JournalSpace& space, uint64_t blocks, BlockNo last) {
  if (!space.unfit.empty()) return space.unfit;
  if (const uint64_t needed = log_blocks_needed(space, blocks); needed > space.free.size())
    return fmt::format("the journal has too little room: {} blocks needed, {} free", needed, space.free.size());
  if (last.value > UINT32_MAX && !space.super.has_incompat(kIncompat64Bit))
    return "the journal's format has block numbers of 32 bits";
  return {};
}

JournalTransaction make_transaction(const JournalSpace& space, std::span<const BlockImage> blocks, uint64_t seconds) {
  assert(obstacle(space, blocks.size(), blocks.empty() ? BlockNo() : blocks.back().block).empty());
  JournalTransaction transaction;
  Builder builder(space, transaction);
  const size_t tags = tags_per_descriptor(space);
  for (std::span<const BlockImage> rest = blocks; !rest.empty();) {
    const size_t n = std::min(rest.size(), tags);
    builder.describe(rest.first(n));
    rest = rest.subspan(n);
  }
  builder.commit(seconds);
  builder.begin_log_here();
  return transaction;
}

}  // namespace extscrub
