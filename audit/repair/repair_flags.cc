#include "audit/repair/inode_repair.h"
#include "audit/rules/rules.h"
#include "audit/stage/primary_superblock.h"

namespace extscrub {

Result<void> turn_on_features(Overlay& overlay, uint32_t incompat, uint32_t ro_compat) {
  return edit_primary_superblock(overlay, [=](ext2_super_block& s) {
    if (s.s_rev_level == EXT2_GOOD_OLD_REV) {
      s.s_rev_level = EXT2_DYNAMIC_REV;
      s.s_first_ino = EXT2_GOOD_OLD_FIRST_INO;
      s.s_inode_size = EXT2_GOOD_OLD_INODE_SIZE;
      s.s_feature_compat = s.s_feature_incompat = s.s_feature_ro_compat = 0;
    }
    s.s_feature_incompat |= incompat;
    s.s_feature_ro_compat |= ro_compat;
  });
}

Result<void> mend_flags(const InodeAtWork& work) {
  const FileSystem& fs = work.round.fs();
  const Geometry& g = fs.geometry;
  const Inode inode = work.inode();
  const FileType type = inode.type();
  constexpr uint32_t kForm = EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL;
  uint32_t flags = inode.base().i_flags;
  const bool tree = looks_like_extents(inode);
  EaFacts attributes;
  if (has_inode_attributes(g, inode)) check_inode_attributes(fs, inode, attributes);
  const bool data = attributes.find(kSystemIndex, "data");
  if ((flags & kForm) == kForm) flags &= tree || !data ? ~uint32_t{EXT4_INLINE_DATA_FL} : ~uint32_t{EXT4_EXTENTS_FL};

  // The contents of a file need their feature; other flags can go.
  const uint32_t without = flags_without_feature(g, inode);
  uint32_t needed = 0;
  if (without & flags & EXT4_EXTENTS_FL && tree) needed |= EXT3_FEATURE_INCOMPAT_EXTENTS;
  if (without & flags & EXT4_INLINE_DATA_FL && data) needed |= EXT4_FEATURE_INCOMPAT_INLINE_DATA;
  flags &= ~(without & ~((needed & EXT3_FEATURE_INCOMPAT_EXTENTS ? EXT4_EXTENTS_FL : 0) |
                         (needed & EXT4_FEATURE_INCOMPAT_INLINE_DATA ? EXT4_INLINE_DATA_FL : 0)));
  if (needed)
    if (auto r = turn_on_features(work.round.overlay, needed, 0); !r) return r;

  const bool contents = type == FileType::regular || type == FileType::directory || type == FileType::symlink;
  if (type != FileType::directory) flags &= ~uint32_t{EXT2_INDEX_FL | EXT4_CASEFOLD_FL};
  if (type != FileType::regular) flags &= ~uint32_t{EXT4_EA_INODE_FL};
  if (!contents) flags &= ~kForm;
  if (!contents || type == FileType::symlink) flags &= ~uint32_t{EXT2_IMMUTABLE_FL | EXT2_APPEND_FL};
  if (contents && g.extents() && !(flags & kForm) && tree) flags |= EXT4_EXTENTS_FL;
  work.set_flags(flags);
  return {};
}

}  // namespace extscrub
