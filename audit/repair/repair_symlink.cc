#include <sys/stat.h>

#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/repair/inode_repair.h"
#include "scan/map/symlink.h"

namespace extscrub {

namespace {

constexpr size_t kInInode = sizeof(ext2_inode{}.i_block);  // bytes, the terminating zero included

uint64_t text_length(Bytes place) { return static_cast<uint64_t>(std::ranges::find(place, std::byte{0}) - place.begin()); }

bool is_text(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b >= std::byte{0x20} && b != std::byte{0x7f}; });
}

// The block with the target, when the map is sound and holds just that one.
BlockNo target_block(const InodeAtWork& work) {
  const Inode inode = work.inode();
  if (!inode.has_block_map()) return {};
  RunList list;
  MapWalker walker(work.round.fs());
  const BlockMap& map = walker.walk(inode, list);
  const bool one = map.defects.empty() && map.data_blocks == 1 && list.runs.front().logical == 0;
  return one ? list.runs.front().physical : BlockNo();
}

// Whether i_block may hold a target rather than pointers: a long one lies in a block. Of an i_size that is damaged that is
// said by i_blocks, and by more text than the four bytes of one block number.
bool can_be_in_inode(const Inode& inode, uint64_t length) {
  if (inode.size() < kInInode) return true;
  return !inode.is(EXT4_ENCRYPT_FL) && inode.base().i_blocks == 0 && length > sizeof(uint32_t);
}

// The target lies in i_block: the flags and the size say so afterwards. False when what lies there is no target.
bool mend_in_inode(const InodeAtWork& work) {
  const Bytes area = work.inode().block_area();
  const bool encrypted = work.inode().is(EXT4_ENCRYPT_FL);
  const uint64_t length = encrypted ? load<uint16_t>(area) + sizeof(uint16_t) : text_length(area);
  if (length == 0 || length >= kInInode || (!encrypted && !is_text(area.first(length)))) return false;
  if (!can_be_in_inode(work.inode(), length)) return false;
  work.set_flags(work.inode().base().i_flags & ~uint32_t{EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL});
  work.set_size(length);
  return true;
}

bool become_file(const InodeAtWork& work, const Finding& cause) {
  work.set_mode(S_IFREG | (work.inode().base().i_mode & 07777));
  work.round.stale = true;
  work.round.lose(cause, "its type: kept as a regular file");
  return true;
}

// No symbolic link has such a map, but a file may.
bool maps_a_file(const InodeAtWork& work) {
  const Inode inode = work.inode();
  if (!inode.has_block_map() || inode.is(EXT4_ENCRYPT_FL)) return false;
  RunList list;
  MapWalker walker(work.round.fs());
  const BlockMap& map = walker.walk(inode, list);
  return map.defects.empty() && map.data_blocks > 0;
}

// Gives a target that lies in a block the size that it has; one that is short enough goes into the inode.
Result<bool> mend_in_block(const InodeAtWork& work, const Finding& cause, BlockNo at) {
  std::vector<std::byte> block(work.round.geometry().block_size);
  if (auto r = work.round.overlay.read(at, block); !r) return false;
  const bool encrypted = work.inode().is(EXT4_ENCRYPT_FL);
  uint64_t length = encrypted ? load<uint16_t>(block) + sizeof(uint16_t) : text_length(block);
  if (length >= block.size() && work.inode().size() < block.size() && work.inode().size() > 0) {
    // Only the zero behind it is missing.
    length = work.inode().size();
    if (!encrypted && !is_text(Bytes(block).first(length))) return false;
    auto staged = work.round.overlay.edit(at);
    if (!staged) return std::unexpected(staged.error());
    (*staged)[length] = std::byte{0};
  }
  if (length == 0 || length >= block.size()) return false;
  // Lines of text, or no text at all: the contents of a file.
  if (!encrypted && !is_text(Bytes(block).first(length))) return become_file(work, cause);
  if (length < kInInode) {
    const MutableBytes area = work.raw.subspan(offsetof(ext2_inode, i_block), kInInode);
    std::ranges::fill(area, std::byte{0});
    std::ranges::copy(Bytes(block).first(length), area.begin());
    work.set_flags(work.inode().base().i_flags & ~uint32_t{EXT4_EXTENTS_FL});
    work.round.stale = true;  // the block is free
  }
  work.set_size(length);
  return true;
}

}  // namespace

Result<bool> mend_symlink(const InodeAtWork& work, const Finding& cause, bool map_damaged) {
  const Inode inode = work.inode();
  if (inode.is(EXT4_INLINE_DATA_FL)) {
    EaFacts attributes;
    if (has_inode_attributes(work.round.geometry(), inode)) check_inode_attributes(work.round.fs(), inode, attributes);
    if (const uint64_t length = inline_data_size(inode, &attributes); length > 0) {
      work.set_size(length);
      return true;
    }
    if (mend_in_inode(work)) return true;
  } else if (const BlockNo block = target_block(work)) {
    if (is_shared(work.round, block)) return false;  // first it is found whose it is
    const auto mended = mend_in_block(work, cause, block);
    if (!mended || *mended) return mended;
  } else {
    if (maps_a_file(work)) return become_file(work, cause);
    if (mend_in_inode(work)) return true;
    if (map_damaged) return false;  // its block may be found yet
  }
  clear_inode(work);
  work.round.lose(cause, "cleared: a symbolic link without a target");
  return true;
}

}  // namespace extscrub
