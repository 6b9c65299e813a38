#include "scan/load/backup_search.h"

#include <algorithm>
#include <limits>

#include "scan/format/checksum.h"
#include "scan/format/superblock.h"

namespace extscrub {

namespace {

constexpr uint64_t kMostSearched = uint64_t{256} << 20;  // bytes; with blocks of 4 KiB group 1 begins at 128 MiB, or before
constexpr uint64_t kPiece = 64 << 10;                    // bytes, a multiple of a superblock's
constexpr int kMostFailures = 16;                        // pieces; a device that fails takes its time for each

// The superblock found at byte `at`, if it is the copy that belongs there.
std::optional<FoundBackup> backup_at(const ext2_super_block& super, uint64_t at) {
  if (super.s_magic != EXT2_SUPER_MAGIC || super.s_block_group_nr == 0) return {};
  const auto geometry = derive_geometry(super, std::numeric_limits<int64_t>::max());
  if (!geometry) return {};
  if (!belongs_at(super, *geometry, at)) return {};
  if (geometry->metadata_csum() && super.s_checksum != superblock_checksum(super)) return {};
  return FoundBackup{BlockNo(at >> geometry->block_bits), geometry->block_size, geometry->metadata_csum()};
}

std::vector<FoundBackup> search_backups(const Image& image, std::optional<uint32_t> block_size) {
  std::vector<FoundBackup> found;
  std::vector<std::byte> piece(kPiece);
  const uint64_t end = std::min(image.size(), kMostSearched);
  int failures = 0;
  for (uint64_t at = 0; at + kSuperblockSize <= end && failures < kMostFailures; at += kPiece) {
    const MutableBytes bytes = MutableBytes(piece).first(std::min(kPiece, end - at) & ~(kSuperblockSize - 1));
    if (!image.read(at, bytes)) {
      ++failures;
      continue;
    }
    for (uint64_t offset = 0; offset < bytes.size(); offset += kSuperblockSize) {
      const auto backup = backup_at(load<ext2_super_block>(bytes, offset), at + offset);
      if (backup && backup->block_size == block_size.value_or(backup->block_size)) found.push_back(*backup);
    }
  }
  return found;
}

}  // namespace

bool belongs_at(const ext2_super_block& super, const Geometry& g, uint64_t at) {
  const BlockNo block(at >> g.block_bits);
  if (!g.contains(block) || block.value << g.block_bits != at) return false;
  const GroupNo group = g.group_of(block);
  const bool names_another = super.s_block_group_nr != 0 && super.s_block_group_nr != static_cast<uint16_t>(group.value);
  return g.has_super(group) && g.super_block(group) == block && !names_another;
}

const std::vector<FoundBackup>& BackupSearch::found() {
  if (!found_) found_ = allowed_ ? search_backups(image_, block_size_) : std::vector<FoundBackup>();
  return *found_;
}

}  // namespace extscrub
