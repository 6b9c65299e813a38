// The resize inode: inode 7, whose map lists the blocks reserved for group descriptors. Its doubly indirect block lists
// those of group 0 by descriptor block; each of them lists its copies in the backup groups. Written anew from
// s_reserved_gdt_blocks. Source: e2fsprogs, lib/ext2fs/res_gdt.c.
#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/repair/repair.h"
#include "audit/stage/primary_superblock.h"

namespace extscrub {

namespace {

class ResizeInodeRepair {
 public:
  explicit ResizeInodeRepair(RepairRound& round) : round_(round), g_(round.geometry()) {}

  Result<bool> run() {
    if (!g_.has_compat(EXT2_FEATURE_COMPAT_RESIZE_INODE)) return clear();
    if (!reserved_blocks_are_ours()) return false;
    const auto at = list_block();
    if (!at) return round_.lossy() ? give_up() : Result<bool>(false);
    if (auto r = write_list(*at); !r) return std::unexpected(r.error());
    if (auto r = write_inode(*at); !r) return std::unexpected(r.error());
    return round_.stale = true;
  }

 private:
  [[nodiscard]] uint32_t per_block() const { return g_.block_size / sizeof(uint32_t); }
  [[nodiscard]] BlockNo reserved(uint32_t i) const { return g_.super_block(GroupNo()) + 1 + g_.desc_blocks + i; }

  // What lies over them is damage of its own, and comes first.
  [[nodiscard]] bool reserved_blocks_are_ours() const {
    if (g_.reserved_gdt_blocks > per_block()) return false;
    for (uint32_t i = 0; i < g_.reserved_gdt_blocks; ++i)
      if (const MetadataExtent* e = round_.fs().metadata.find(reserved(i)); !e || e->kind != MetadataKind::descriptors)
        return false;
    return !round_.findings.any(Problem::group_metadata_overlap);
  }

  // The doubly indirect block that there is, when it is nobody else's; else a free one.
  [[nodiscard]] std::optional<BlockNo> list_block() {
    std::vector<std::byte> raw(g_.inode_size);
    if (!read_inode(round_.fs(), InodeNo(EXT2_RESIZE_INO), raw)) return {};
    const BlockNo old(load<ext2_inode>(raw).i_block[EXT2_DIND_BLOCK]);
    const bool walked = file_type(load<ext2_inode>(raw).i_mode) == FileType::regular;
    if (walked && old.value != 0 && g_.contains(old) && !is_shared(round_, old)) return old;
    const auto fresh = round_.blocks.allocate(reserved(g_.reserved_gdt_blocks));
    return fresh && fresh->value <= UINT32_MAX ? fresh : std::nullopt;
  }

  Result<void> write_list(BlockNo at) {
    auto list = round_.overlay.edit(at);
    if (!list) return std::unexpected(list.error());
    std::ranges::fill(*list, std::byte{0});
    for (uint32_t i = 0; i < g_.reserved_gdt_blocks; ++i) {
      store(*list, (g_.desc_blocks + i) % per_block() * sizeof(uint32_t), static_cast<uint32_t>(reserved(i).value));
      auto copies = round_.overlay.edit(reserved(i));
      if (!copies) return std::unexpected(copies.error());
      std::ranges::fill(*copies, std::byte{0});
      uint32_t n = 0;
      for (GroupNo group(1); group.value < g_.groups && n < per_block(); ++group)
        if (g_.has_super(group))
          store(*copies, n++ * sizeof(uint32_t),
                static_cast<uint32_t>(reserved(i).value + uint64_t{group.value} * g_.blocks_per_group));
      backups_ = n;
    }
    return {};
  }

  Result<void> write_inode(BlockNo at) {
    const uint64_t n = per_block();
    const uint64_t size = (n * n + n + EXT2_NDIR_BLOCKS) * g_.block_size;
    const uint64_t blocks = 1 + uint64_t{g_.reserved_gdt_blocks} * (1 + backups_);
    return change_inode_base(round_, InodeNo(EXT2_RESIZE_INO), [&](ext2_inode& base) {
      if (file_type(base.i_mode) != FileType::regular || base.i_links_count == 0)
        base.i_ctime = base.i_mtime = base.i_atime = round_.now;
      base.i_mode = kHiddenFileMode;
      base.i_links_count = 1;
      base.i_dtime = 0;
      base.i_flags = 0;
      base.i_size = static_cast<uint32_t>(size);
      base.i_size_high = static_cast<uint32_t>(size >> 32);
      base.i_blocks = static_cast<uint32_t>(blocks * (g_.block_size / 512));
      base.osd2.linux2.l_i_blocks_hi = 0;
      std::ranges::fill(base.i_block, 0);
      base.i_block[EXT2_DIND_BLOCK] = static_cast<uint32_t>(at.value);
    });
  }

  Result<bool> clear() {
    auto raw = edit_inode(round_.fs(), round_.overlay, InodeNo(EXT2_RESIZE_INO));
    if (!raw) return std::unexpected(raw.error());
    std::ranges::fill(*raw, std::byte{0});
    return round_.stale = true;
  }

  // Without a block for the list the file system does not grow online: it works all the same.
  Result<bool> give_up() {
    auto r = edit_primary_superblock(round_.overlay, [](ext2_super_block& s) {
      s.s_feature_compat &= ~uint32_t{EXT2_FEATURE_COMPAT_RESIZE_INODE};
      s.s_reserved_gdt_blocks = 0;
    });
    if (!r) return std::unexpected(r.error());
    return clear();
  }

  RepairRound& round_;
  const Geometry& g_;
  uint32_t backups_ = 0;
};

}  // namespace

Result<size_t> repair_resize_inode(RepairRound& round) {
  size_t answered = 0;
  std::optional<bool> made_anew;  // as a whole, however many findings there are
  for (Finding& f : round.findings.of(Pass::resize_inode)) {
    if (!round.may(f.problem)) continue;
    if (f.problem == Problem::superblock_reserved_gdt) {
      if (auto r = edit_primary_superblock(round.overlay, [](ext2_super_block& s) { s.s_reserved_gdt_blocks = 0; }); !r)
        return std::unexpected(r.error());
      round.stale = true;
    } else {
      if (!made_anew) {
        const auto r = ResizeInodeRepair(round).run();
        if (!r) return std::unexpected(r.error());
        made_anew = *r;
      }
      if (!*made_anew) continue;
    }
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

}  // namespace extscrub
