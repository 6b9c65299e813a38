// Copies of the superblock and of the descriptors, written from the primary once that is sound.
#include <algorithm>
#include <set>

#include "audit/repair/repair.h"
#include "scan/format/superblock.h"

namespace extscrub {

namespace {

// A copy names its group, is never marked valid, and never asks for a replay.
Result<void> write_superblock(RepairRound& round, GroupNo group) {
  const uint32_t size = round.geometry().block_size;
  std::vector<std::byte> block(size);
  if (auto r = round.overlay.read(BlockNo(kSuperblockOffset / size), block); !r) return r;
  auto super = load<ext2_super_block>(block, kSuperblockOffset % size);
  super.s_block_group_nr = static_cast<uint16_t>(group.value);
  super.s_state &= static_cast<uint16_t>(~EXT2_VALID_FS);
  super.s_feature_incompat &= ~uint32_t{EXT3_FEATURE_INCOMPAT_RECOVER};
  seal_superblock(super);
  auto copy = round.overlay.edit(round.geometry().super_block(group));
  if (!copy) return std::unexpected(copy.error());
  std::ranges::fill(*copy, std::byte{0});
  store(*copy, 0, super);
  return {};
}

Result<void> write_descriptors(RepairRound& round, GroupNo group) {
  const Geometry& g = round.geometry();
  std::vector<std::byte> block(g.block_size);
  for (uint32_t i = 0; i < std::min(g.desc_blocks, g.first_meta_bg); ++i) {
    const BlockNo at = g.desc_block(i, group);
    if (!g.contains(at)) continue;
    if (auto r = round.overlay.read(g.desc_block(i, GroupNo()), block); !r) return r;
    auto copy = round.overlay.edit(at);
    if (!copy) return std::unexpected(copy.error());
    std::ranges::copy(block, copy->begin());
  }
  return {};
}

}  // namespace

Result<size_t> repair_backups(RepairRound& round) {
  if (round.findings.any_hides(Hidden::primary)) return 0;
  size_t answered = 0;
  std::set<GroupNo> written;
  for (Finding& f : round.findings.of(Pass::backups)) {
    if (!f.group || !round.may(f.problem)) continue;
    // Of two that differ neither is copied over the other before it is known which is right.
    if (!round.fs().undecided.empty()) continue;
    if (written.insert(*f.group).second) {
      if (auto r = write_superblock(round, *f.group); !r) return std::unexpected(r.error());
      if (auto r = write_descriptors(round, *f.group); !r) return std::unexpected(r.error());
    }
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

}  // namespace extscrub
