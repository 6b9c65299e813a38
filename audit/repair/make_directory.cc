#include <sys/stat.h>

#include <algorithm>

#include "audit/repair/inode_repair.h"
#include "audit/stage/map_builder.h"
#include "scan/format/checksum.h"
#include "scan/format/dir_block.h"

namespace extscrub {

namespace {

// An entry at `at` of the block, `rec_len` bytes long.
void put_entry(const Geometry& g, MutableBytes block, size_t at, size_t rec_len, InodeNo target, std::string_view name) {
  store(block, at, target.value);
  store(block, at + offsetof(ext2_dir_entry, rec_len), static_cast<uint16_t>(rec_len));
  const unsigned type = g.has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE) ? EXT2_FT_DIR : 0;
  store(block, at + offsetof(ext2_dir_entry, name_len), static_cast<uint16_t>(name.size() | type << 8));
  std::memcpy(block.data() + at + kEntryHeader, name.data(), name.size());
}

void fill_directory_block(const Geometry& g, uint32_t seed, InodeNo self, InodeNo parent, MutableBytes block) {
  std::ranges::fill(block, std::byte{0});
  const size_t tail = g.metadata_csum() ? kDirTail : 0;
  put_entry(g, block, 0, kShortestEntry, self, ".");
  put_entry(g, block, kShortestEntry, block.size() - kShortestEntry - tail, parent, "..");
  if (tail == 0) return;
  ext2_dir_entry_tail end{};
  end.det_rec_len = sizeof end;
  end.det_reserved_name_len = EXT2_DIR_NAME_LEN_CSUM;
  store(block, block.size() - tail, end);
  end.det_checksum = leaf_checksum(seed, block);
  store(block, block.size() - tail, end);
}

}  // namespace

Result<bool> make_directory(const InodeAtWork& work, InodeNo parent) {
  RepairRound& round = work.round;
  const Geometry& g = round.geometry();
  const auto block = round.blocks.allocate(g.group_first(g.group_of(work.ino)));
  if (!block) return false;
  const Inode before = work.inode();
  if (before.type() != FileType::directory) work.set_mode(static_cast<uint16_t>(S_IFDIR | 0755));
  constexpr uint32_t kNotForIt = EXT2_INDEX_FL | EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL | EXT4_EA_INODE_FL;
  work.set_flags((before.base().i_flags & ~kNotForIt) | (g.extents() ? EXT4_EXTENTS_FL : 0));
  std::ranges::fill(work.raw.subspan(offsetof(ext2_inode, i_block), sizeof before.base().i_block), std::byte{0});
  // One run fits into the inode: no node is needed.
  const Run run{0, *block, 1, false};
  if (auto r = must_write_map(round.fs(), round.overlay, round.blocks, work.ino, work.raw, std::span(&run, 1), {}); !r)
    return std::unexpected(r.error());
  work.set_size(g.block_size);
  auto bytes = round.overlay.edit(*block);
  if (!bytes) return std::unexpected(bytes.error());
  fill_directory_block(g, inode_seed(g, work.ino, work.inode().base().i_generation), work.ino, parent, *bytes);
  round.stale = true;
  return true;
}

bool holds_directory(const InodeAtWork& work) {
  const Inode inode = work.inode();
  if (!inode.has_block_map()) return false;
  RunList list;
  MapWalker walker(work.round.fs());
  walker.walk(inode, list);
  if (list.runs.empty() || list.runs.front().logical != 0) return false;
  std::vector<std::byte> block(work.round.geometry().block_size);
  if (!work.round.overlay.read(list.runs.front().physical, block)) return false;
  EntryWalk entries(block, work.round.geometry().block_size);
  const auto dot = entries.next();
  if (!dot || dot->name != "." || dot->inode != work.ino) return false;
  const auto dotdot = entries.next();
  return dotdot && dotdot->name == "..";
}

}  // namespace extscrub
