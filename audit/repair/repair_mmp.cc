// The block of multiple-mount protection: written anew, at rest. One that says that somebody uses the file system is left
// alone.
#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/repair/repair.h"
#include "audit/stage/primary_superblock.h"
#include "scan/format/mmp_block.h"

namespace extscrub {

namespace {

constexpr uint16_t kLeastCheckInterval = 5;  // seconds, as the kernel has it

// The block that s_mmp_block names, or a free one where that belongs to something else or to nothing.
std::optional<BlockNo> choose_block(RepairRound& round) {
  const Geometry& g = round.geometry();
  const BlockNo named(round.fs().super.s_mmp_block);
  if (g.contains(named) && named.value != g.first_data_block) {
    const MetadataExtent* extent = round.fs().metadata.find(named);
    const auto& overlaps = round.fs().metadata.overlaps();
    const bool overlapped = std::ranges::any_of(
        overlaps, [&](const MetadataOverlap& o) { return o.a.kind == MetadataKind::mmp || o.b.kind == MetadataKind::mmp; });
    if (extent && extent->kind == MetadataKind::mmp && !overlapped && !round.run.scan->claimed_again.test(g, named)) return named;
  }
  round.stale = true;
  return round.blocks.allocate(BlockNo(g.first_data_block));
}

Result<void> write_block(RepairRound& round, BlockNo at) {
  const Geometry& g = round.geometry();
  auto block = round.overlay.edit(at);
  if (!block) return std::unexpected(block.error());
  std::ranges::fill(*block, std::byte{0});
  mmp_struct mmp{};
  mmp.mmp_magic = EXT4_MMP_MAGIC;
  mmp.mmp_seq = EXT4_MMP_SEQ_CLEAN;
  mmp.mmp_time = round.now;
  mmp.mmp_check_interval = std::max(round.fs().super.s_mmp_update_interval, kLeastCheckInterval);
  seal_mmp(mmp_seed(g), mmp);
  store(*block, 0, mmp);
  return edit_primary_superblock(round.overlay, [&](ext2_super_block& s) { s.s_mmp_block = at.value; });
}

}  // namespace

Result<size_t> repair_mmp(RepairRound& round) {
  size_t answered = 0;
  for (Finding& f : round.findings.of(Pass::mmp)) {
    if (!round.may(f.problem)) continue;
    const auto at = choose_block(round);
    if (!at) return answered;
    if (auto r = write_block(round, *at); !r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

}  // namespace extscrub
