#include <algorithm>
#include <map>

#include "audit/repair.h"
#include "scan/checksum.h"
#include "scan/inode_table.h"

namespace extscrub {

namespace {

// The repairs made in the inode itself, and those of blocks sealed with it.
bool is_inode_repair(Problem p) {
  switch (p) {
    case Problem::inode_checksum:
    case Problem::inode_blocks:
    case Problem::inode_dtime_set:
    case Problem::inode_field_nonzero:
    case Problem::extent_checksum: return true;
    default: return false;
  }
}

void repair_field(const RepairRound& round, MutableBytes raw, const Finding& f) {
  switch (f.problem) {
    case Problem::inode_blocks:
      store(raw, offsetof(ext2_inode, i_blocks), static_cast<uint32_t>(f.repair_value));
      if (round.run.fs.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE))
        store(raw, offsetof(ext2_inode, osd2.linux2.l_i_blocks_hi), static_cast<uint16_t>(f.repair_value >> 32));
      break;
    case Problem::inode_dtime_set: store(raw, offsetof(ext2_inode, i_dtime), uint32_t{0}); break;
    case Problem::inode_field_nonzero:
      if (const ZeroField* zero = find_zero_field(f.field)) std::ranges::fill(raw.subspan(zero->offset, zero->size), std::byte{0});
      break;
    default: break;  // checksums: sealed below, or with their block
  }
}

Result<void> seal_extent_block(RepairRound& round, InodeNo ino, uint32_t generation, BlockNo at) {
  const Geometry& g = round.run.fs.geometry;
  auto block = round.overlay.edit(at);
  if (!block) return std::unexpected(block.error());
  const uint32_t crc = extent_block_checksum(inode_seed(g, ino, generation), *block);
  store(*block, extent_tail_offset(*block), crc);
  return {};
}

}  // namespace

Result<size_t> repair_inodes(RepairRound& round) {
  std::map<InodeNo, std::vector<Finding*>> by_inode;
  for (Finding& f : round.findings)
    // The inode bitmap speaks of inodes too, but is repaired with its group.
    if (f.inode && f.problem != Problem::inode_bitmap_mismatch) by_inode[*f.inode].push_back(&f);

  size_t answered = 0;
  for (auto& [ino, findings] : by_inode) {
    // An inode with other damage keeps its bad checksum: it says that the fields cannot be trusted.
    if (!std::ranges::all_of(findings, [](const Finding* f) { return is_inode_repair(f->problem); })) continue;
    auto raw = edit_inode(round.run.fs, round.overlay, ino);
    if (!raw) return std::unexpected(raw.error());
    for (Finding* f : findings) {
      repair_field(round, *raw, *f);
      if (f->problem == Problem::extent_checksum)
        if (auto r = seal_extent_block(round, ino, load<uint32_t>(*raw, offsetof(ext2_inode, i_generation)), *f->block); !r)
          return std::unexpected(r.error());
      f->repair = RepairState::staged;
      ++answered;
    }
    seal_inode(round.run.fs.geometry, ino, *raw);
  }
  return answered;
}

}  // namespace extscrub
