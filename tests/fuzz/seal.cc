#include "tests/fuzz/seal.h"

#include "scan/format/checksum.h"
#include "scan/format/crc.h"
#include "scan/format/jbd2_format.h"
#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "scan/journal/journal.h"
#include "scan/load/load_file_system.h"

namespace extscrub::fuzz {

namespace {

using namespace jbd2;

void seal_superblock(MemoryImage& image) {
  auto super = load<ext2_super_block>(image.bytes(), kSuperblockOffset);
  if (!(super.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)) return;
  super.s_checksum = superblock_checksum(super);
  image.write(kSuperblockOffset, bytes_of(super));
}

void seal_descriptors(MemoryImage& image, const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  if (!g.group_csum()) return;
  for (GroupNo group; group.value < g.groups; ++group) {
    const BlockNo block = g.desc_block(group.value / g.desc_per_block, GroupNo());
    const uint64_t at = block.value * g.block_size + uint64_t{group.value % g.desc_per_block} * g.desc_size;
    if (at + g.desc_size > image.bytes().size()) return;
    const uint16_t crc = group_desc_checksum(g, fs.super, group, image.bytes().subspan(at, g.desc_size));
    image.write(at + offsetof(ext2_group_desc, bg_checksum), bytes_of(crc));
  }
}

// The log as it lies in the image, up to the first block that is not of it.
class LogSealer {
 public:
  LogSealer(MemoryImage& image, const FileSystem& fs, const Journal& journal)
      : image_(image), size_(fs.geometry.block_size), journal_(journal) {}

  void seal_super() {
    const Bytes super = block(0);
    if (!super.empty() && be32(super, kIncompat) & (kIncompatCsumV2 | kIncompatCsumV3))
      put_be32_at(0, kChecksum, journal_superblock_checksum(Bytes(super).first<kSuperSize>()));
  }

  void seal_log() {
    const Bytes super = block(0);
    if (super.empty()) return;
    compat_ = be32(super, kCompat);
    incompat_ = be32(super, kIncompat);
    seed_ = crc32c(~0u, super.subspan(kUuid, 16));
    uint64_t at = be32(super, kStart);
    while (at != 0 && at < journal_.log.blocks()) {
      const Bytes b = block(at);
      if (b.empty() || be32(b, kHeaderMagic) != kMagic) break;
      at = seal_block(b, at);
    }
    if (incompat_ & kIncompatFastCommit) seal_fast_commits();
  }

 private:
  [[nodiscard]] bool checksums() const { return incompat_ & (kIncompatCsumV2 | kIncompatCsumV3); }

  // Empty where the log has no such block.
  Bytes block(uint64_t log_block) const {
    const auto at = journal_.log.place(log_block);
    if (!at || (at->value + 1) * size_ > image_.bytes().size()) return {};
    return image_.bytes().subspan(at->value * size_, size_);
  }

  void put(uint64_t log_block, size_t offset, Bytes bytes) {
    image_.write(journal_.log.place(log_block)->value * size_ + offset, bytes);
  }
  void put_be32_at(uint64_t log_block, size_t offset, uint32_t value) {
    put(log_block, offset, bytes_of(__builtin_bswap32(value)));
  }

  // Returns the block to go on with.
  uint64_t seal_block(Bytes b, uint64_t at) {
    const uint32_t type = be32(b, kHeaderType);
    uint64_t next = at + 1;
    if (type == kDescriptor) {
      sum_ = crc32_be(sum_, b);
      next = seal_tags(b, at);
    } else if (type == kCommit && checksums()) {
      put_be32_at(at, kCommitChecksum, 0);
      put_be32_at(at, kCommitChecksum, crc32c(seed_, b));
    } else if (type == kCommit && compat_ & kCompatChecksum) {
      put_be32_at(at, kCommitChecksum, sum_);
      sum_ = ~0u;
    }
    if (checksums() && (type == kDescriptor || type == kRevoke)) {
      put_be32_at(at, size_ - 4, 0);
      put_be32_at(at, size_ - 4, crc32c(seed_, b));
    }
    return next;
  }

  uint64_t seal_tags(Bytes b, uint64_t at) {
    const bool v3 = incompat_ & kIncompatCsumV3;
    const size_t width = v3 ? 16 : 8 + (incompat_ & kIncompatCsumV2 ? 2 : 0) + (incompat_ & kIncompat64Bit ? 4 : 0);
    uint64_t next = at + 1;
    for (size_t tag = kHeaderSize; tag + width + (checksums() ? 4 : 0) <= size_; ++next) {
      const Bytes data = block(next);
      if (data.empty()) break;
      sum_ = crc32_be(sum_, data);
      const uint32_t crc = crc32c(crc32c(seed_, b.subspan(kHeaderSequence, 4)), data);
      if (v3)
        put_be32_at(at, tag + kTag3Checksum, crc);
      else if (checksums())
        put(at, tag + kTagChecksum16, bytes_of(__builtin_bswap16(static_cast<uint16_t>(crc))));
      const uint16_t flags = be16(b, tag + kTagFlags16);
      tag += width + (flags & kTagSameUuid ? 0 : kTagUuidSize);
      if (flags & kTagLast) return next + 1;
    }
    return next;
  }

  void seal_fast_commits() {
    uint32_t crc = 0;
    for (uint64_t at = journal_.super.fc_first; at < journal_.super.fc_end; ++at) {
      const Bytes b = block(at);
      if (b.empty()) return;
      for (size_t offset = 0; offset + kFcTagSize <= b.size();) {
        const auto tag = load<uint16_t>(b, offset);
        const size_t whole = kFcTagSize + load<uint16_t>(b, offset + 2);
        if (tag == 0 || offset + whole > b.size()) return;
        if (tag == kFcTail && whole >= kFcTagSize + 8) {
          crc = crc32c(crc, b.subspan(offset, kFcTagSize + 4));
          put(at, offset + kFcTagSize + 4, bytes_of(crc));
          crc = 0;
        } else {
          crc = crc32c(crc, b.subspan(offset, whole));
        }
        offset += whole;
      }
    }
  }

  MemoryImage& image_;
  uint32_t size_;
  const Journal& journal_;
  uint32_t compat_ = 0, incompat_ = 0, seed_ = 0, sum_ = ~0u;
};

}  // namespace

void seal_image(MemoryImage& image) {
  seal_superblock(image);
  auto fs = load_superblock(image.image(), nullptr, {});
  if (!fs) return;
  Overlay overlay(image.image(), fs->geometry.block_size);
  fs->blocks = &overlay;
  seal_descriptors(image, *fs);
  if (!fs->geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL)) return;
  load_descriptors(*fs);
  LogSealer(image, *fs, open_journal(*fs, nullptr)).seal_super();
  const Journal journal = open_journal(*fs, nullptr);  // its superblock can be gone by now
  LogSealer(image, *fs, journal).seal_log();
}

}  // namespace extscrub::fuzz
