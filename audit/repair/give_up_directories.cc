// The last resort of a repair: on an image without a free block, a directory that has no block cannot be given one, and as
// long as it is there the image is damaged. It is cleared, so that all else can be proven sound. Its entry goes with the
// next round, as one of an inode that is not in use; what was in it comes to lost+found, which has blocks ahead of use.
#include <optional>

#include "audit/repair/inode_repair.h"
#include "audit/repair/repair.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

// Neither what the file system keeps for itself, nor what only looks empty because its map is damaged.
bool can_be_given_up(const InodeAtWork& work) {
  if (work.ino.value < work.round.geometry().first_inode) return false;
  RunList list;
  MapWalker walker(work.round.fs());
  const BlockMap& map = walker.walk(work.inode(), list);
  return map.defects.empty() && map.data_blocks == 0;
}

bool has_room(RepairRound& round) {
  const auto block = round.blocks.allocate(round.geometry().group_first(GroupNo()));
  if (block) round.blocks.release(*block, uint64_t{1} << round.geometry().cluster_bits);
  return block.has_value();
}

}  // namespace

Result<size_t> give_up_directories(RepairRound& round) {
  if (!round.lossy() || !all_was_seen(round)) return 0;
  std::optional<bool> room;
  size_t answered = 0;
  for (Finding& f : round.findings.of(Pass::give_up_directories)) {
    if (!f.inode) continue;
    if (!room) room = has_room(round);
    if (*room) return 0;
    auto raw = edit_inode(round.fs(), round.overlay, *f.inode);
    if (!raw) return std::unexpected(raw.error());
    const InodeAtWork work{round, *f.inode, *raw};
    if (!can_be_given_up(work)) continue;
    clear_inode(work);
    seal_inode(round.geometry(), *f.inode, *raw);
    round.lose(f, "the directory, given up: it has no block, and there is no free one for it");
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

}  // namespace extscrub
