#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "audit/rules/inode_report.h"
#include "scan/filesystem/reserved_inodes.h"
#include "scan/format/checksum.h"
#include "scan/map/misplaced_directory.h"

namespace extscrub {

namespace {

constexpr std::array kZeroFields = {
    ZeroField{"i_faddr", offsetof(ext2_inode, i_faddr), 4},
    ZeroField{"i_blocks_high", offsetof(ext2_inode, osd2.linux2.l_i_blocks_hi), 2},
    ZeroField{"i_file_acl_high", offsetof(ext2_inode, osd2.linux2.l_i_file_acl_high), 2},
    ZeroField{"i_size_high", offsetof(ext2_inode, i_size_high), 4},
    ZeroField{"i_frag", offsetof(ext2_inode, osd2.hurd2.h_i_frag), 1},
    ZeroField{"i_fsize", offsetof(ext2_inode, osd2.hurd2.h_i_fsize), 1},
};

bool is_special(FileType type) {
  return type == FileType::fifo || type == FileType::character || type == FileType::block || type == FileType::socket;
}

// A flag, the feature it needs, and the types of files that may have it.
struct FlagRule {
  uint32_t flag;
  const char* name;
  enum Set { compat, incompat, ro_compat } set;
  uint32_t feature;
};

constexpr FlagRule kFlagRules[] = {
    {EXT4_EXTENTS_FL, "EXTENTS_FL", FlagRule::incompat, EXT3_FEATURE_INCOMPAT_EXTENTS},
    {EXT4_INLINE_DATA_FL, "INLINE_DATA_FL", FlagRule::incompat, EXT4_FEATURE_INCOMPAT_INLINE_DATA},
    {EXT4_EA_INODE_FL, "EA_INODE_FL", FlagRule::incompat, EXT4_FEATURE_INCOMPAT_EA_INODE},
    {EXT4_CASEFOLD_FL, "CASEFOLD_FL", FlagRule::incompat, EXT4_FEATURE_INCOMPAT_CASEFOLD},
    {EXT2_IMAGIC_FL, "IMAGIC_FL", FlagRule::compat, EXT2_FEATURE_COMPAT_IMAGIC_INODES},
    {EXT2_INDEX_FL, "INDEX_FL", FlagRule::compat, EXT2_FEATURE_COMPAT_DIR_INDEX},
};

bool has_feature(const Geometry& g, const FlagRule& rule) {
  switch (rule.set) {
    case FlagRule::compat: return g.has_compat(rule.feature);
    case FlagRule::incompat: return g.has_incompat(rule.feature);
    case FlagRule::ro_compat: return g.has_ro_compat(rule.feature);
  }
  return false;
}

void check_flags(const Geometry& g, const Inode& inode, InodeReport& report) {
  const FileType type = inode.type();
  for (const FlagRule& rule : kFlagRules)
    if (inode.is(rule.flag) && !has_feature(g, rule)) report.flag(fmt::format("{} without its feature", rule.name));
  if (inode.is(EXT2_INDEX_FL) && type != FileType::directory) report.flag("INDEX_FL on what is no directory");
  if (inode.is(EXT4_EA_INODE_FL) && type != FileType::regular) report.flag("EA_INODE_FL on what is no regular file");
  if (inode.is(EXT4_CASEFOLD_FL) && type != FileType::directory) report.flag("CASEFOLD_FL on what is no directory");
  if (inode.is(EXT4_EXTENTS_FL) && inode.is(EXT4_INLINE_DATA_FL)) report.flag("EXTENTS_FL and INLINE_DATA_FL");
  if (is_special(type) && inode.is(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL))
    report.flag(fmt::format("EXTENTS_FL or INLINE_DATA_FL on a {}", name(type)));
  if ((is_special(type) || type == FileType::symlink) && inode.is(EXT2_IMMUTABLE_FL | EXT2_APPEND_FL))
    report.flag(fmt::format("IMMUTABLE_FL or APPEND_FL on a {}", name(type)));
  const bool could_have_map = type == FileType::regular || type == FileType::directory || type == FileType::symlink;
  if (g.extents() && !inode.is(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL) && could_have_map && looks_like_extents(inode))
    report.flag("an extent tree without EXTENTS_FL");
}

// A reserved inode that is not set up is no file, so few flags mean anything in it; the journal's has rules of its own.
void check_reserved_flags(const FileSystem& fs, const Inode& inode, InodeReport& report) {
  if (is_named_journal(fs, inode.number())) return;
  if (is_named_quota_file(fs, inode.number())) return check_flags(fs.geometry, inode, report);
  const uint32_t ino = inode.number().value;
  const FileType type = inode.type();
  if (inode.is(EXT4_CASEFOLD_FL) && type != FileType::directory) report.flag("CASEFOLD_FL on what is no directory");
  if (inode.is(EXT2_INDEX_FL) && type == FileType::none && ino != EXT2_BAD_INO && !is_left_unnamed(fs, inode) &&
      !is_resize_inode(fs, inode.number()))
    report.flag("INDEX_FL on what is no directory");
  if (inode.is(EXT4_EXTENTS_FL) && !fs.geometry.extents() && (ino == EXT2_BAD_INO || ino == EXT2_JOURNAL_INO))
    report.flag("EXTENTS_FL without its feature");
}

// Nothing but opening a regular file looks at the flag. It stays: without it the blocks of the Merkle tree would lie
// behind the end of the file.
void check_verity(const Geometry& g, const Inode& inode, InodeReport& report) {
  if (inode.type() != FileType::regular || !inode.is(EXT4_VERITY_FL) || g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_VERITY)) return;
  report.wrong(Problem::inode_verity_unsupported, "i_flags", "VERITY_FL without its feature");
}

void check_zero_fields(const Geometry& g, const ext2_super_block& super, const Inode& inode, InodeReport& report) {
  const ext2_inode& base = inode.base();
  const auto zero = [&](const char* field, uint64_t value) {
    if (value == 0) return;
    Finding& f = report.add(Problem::inode_field_nonzero, field);
    f.evidence = WrongNumber{0, value};
  };
  zero("i_faddr", base.i_faddr);
  if (super.s_creator_os == EXT2_OS_HURD) {
    zero("i_frag", base.osd2.hurd2.h_i_frag);
    zero("i_fsize", base.osd2.hurd2.h_i_fsize);
  }
  if (super.s_creator_os != EXT2_OS_LINUX) return;  // the fields below mean other things there
  if (!g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE) || inode.counts_in_blocks()) {
    // With EXT4_HUGE_FILE_FL the count is in blocks, and 32 bits are enough for it.
    if (!g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) zero("i_blocks_high", base.osd2.linux2.l_i_blocks_hi);
  }
  if (!g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) zero("i_file_acl_high", base.osd2.linux2.l_i_file_acl_high);
  if (inode.type() == FileType::directory && !g.has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR))
    zero("i_size_high", base.i_size_high);
}

void check_extra_isize(const Geometry& g, const Inode& inode, InodeReport& report) {
  if (g.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return;
  const uint32_t room = g.inode_size - EXT2_GOOD_OLD_INODE_SIZE;
  const uint32_t size = inode.large().i_extra_isize;
  if (size == 0 || (size >= 4 && size <= room && size % 4 == 0)) return;
  Finding& f = report.add(Problem::inode_extra_isize, "i_extra_isize");
  f.evidence = Note{fmt::format("0, or a multiple of 4 up to {}", room), fmt::to_string(size)};
}

// Times before 1970 have the sign bit set and epoch bits 0. With epoch bits 3 they are after 2310, or were stored by an old
// kernel.
void wrong_time(const char* field, uint32_t seconds, InodeReport& report) {
  report.wrong(Problem::inode_time, field, fmt::format("{:#x} with epoch 3", seconds));
}

void check_times(const Inode& inode, InodeReport& report) {
  const auto check = [&](const char* field, uint32_t seconds, uint32_t extra, size_t end) {
    if (seconds >> 31 && (extra & EXT4_EPOCH_MASK) == EXT4_EPOCH_MASK && inode.has_extra(end)) wrong_time(field, seconds, report);
  };
  if (inode.raw().size() <= EXT2_GOOD_OLD_INODE_SIZE) return;
  const ext2_inode_large& l = inode.large();
  check("i_atime_extra", l.i_atime, l.i_atime_extra, offsetof(ext2_inode_large, i_atime_extra) + 4);
  check("i_ctime_extra", l.i_ctime, l.i_ctime_extra, offsetof(ext2_inode_large, i_ctime_extra) + 4);
  check("i_mtime_extra", l.i_mtime, l.i_mtime_extra, offsetof(ext2_inode_large, i_mtime_extra) + 4);
  if (inode.has_extra(offsetof(ext2_inode_large, i_crtime_extra) + 4))
    check("i_crtime_extra", l.i_crtime, l.i_crtime_extra, offsetof(ext2_inode_large, i_crtime_extra) + 4);
}

void check_special(const Inode& inode, InodeReport& report) {
  if (inode.size() != 0) {
    Finding& f = report.add(Problem::inode_special_blocks, "i_size");
    f.evidence = WrongNumber{0, inode.size()};
  }
}

void check_ea_location(const Geometry& g, const Inode& inode, InodeReport& report) {
  const BlockNo block = inode.ea_block();
  if (!block || (g.contains(block) && g.has_compat(EXT2_FEATURE_COMPAT_EXT_ATTR))) return;
  Finding& f = report.add(Problem::ea_block_location, "i_file_acl");
  f.block = block;
  f.evidence = Note{"", g.contains(block) ? "set without the feature ext_attr" : fmt::to_string(block)};
}

void wrong_size(const Inode& inode, std::string expected, InodeReport& report) {
  report.wrong(Problem::inode_size, "i_size", fmt::to_string(inode.size()), std::move(expected));
}

// What the map can reach; of the 2^32 logical blocks of an extent tree the kernel uses all but the last. That i_blocks could not
// count so many blocks without huge_file is no reason here: a file may be all hole.
uint64_t largest_size(const Geometry& g, const Inode& inode) {
  const uint64_t per_block = g.block_size / sizeof(uint32_t);
  const uint64_t indirect = EXT2_NDIR_BLOCKS + per_block + per_block * per_block + per_block * per_block * per_block;
  return (inode.uses_extents() ? UINT32_MAX : indirect) << g.block_bits;
}

// Data in the inode may end in a hole as far as a map would reach.
void check_size_limit(const Geometry& g, const Inode& inode, InodeReport& report) {
  const uint64_t limit = largest_size(g, inode);
  if (inode.size() > limit) wrong_size(inode, fmt::format("at most {}", limit), report);
}

void check_size(const Geometry& g, const ext2_super_block& super, const InodeFacts& facts, InodeReport& report) {
  const Inode& inode = facts.inode;
  const BlockMap& map = *facts.map;
  const uint64_t size = inode.size();
  const uint64_t mapped = static_cast<uint64_t>(map.last_logical + 1);
  if (inode.type() == FileType::directory) {
    const uint64_t blocks = size >> g.block_bits;
    if (size % g.block_size != 0 || blocks > mapped || mapped - blocks > super.s_prealloc_dir_blocks)
      wrong_size(inode, fmt::to_string(mapped << g.block_bits), report);
    return;
  }
  // fs-verity keeps its tree behind the end of the file.
  if (map.last_written >= 0 && size < static_cast<uint64_t>(map.last_written) << g.block_bits && !inode.is(EXT4_VERITY_FL))
    return report.wrong(Problem::inode_size_small, "i_size", fmt::to_string(size),
                        fmt::format("more than {}", static_cast<uint64_t>(map.last_written) << g.block_bits));
  check_size_limit(g, inode, report);
}

void check_blocks(const FileSystem& fs, const InodeFacts& facts, InodeReport& report) {
  const Geometry& g = fs.geometry;
  const uint64_t counted = counted_inode_blocks(g, facts);
  const uint64_t stored = facts.inode.blocks512();
  if (counted == stored) return;
  // The Hurd counts the block of a passive translator, and others who write for it do not.
  const bool translator = fs.super.s_creator_os == EXT2_OS_HURD && facts.inode.base().osd1.hurd1.h_i_translator != 0;
  if (translator && counted == stored + g.block_size / 512) return;
  Finding& f = report.add(Problem::inode_blocks, "i_blocks");
  f.evidence = WrongNumber{counted, stored};
}

// The inodes below the first one for files: each has its own rules.
void check_reserved(const FileSystem& fs, const InodeFacts& facts, InodeReport& report) {
  const Inode& inode = facts.inode;
  const ext2_inode& base = inode.base();
  const uint32_t ino = inode.number().value;
  const FileType type = inode.type();
  const auto reserved = [&](std::string what) { report.wrong(Problem::reserved_inode, "", std::move(what)); };

  if (ino == EXT2_BAD_INO) {
    if (base.i_mode || base.i_uid || base.i_gid || base.i_links_count || base.i_file_acl || inode.is(EXT4_INLINE_DATA_FL))
      report.wrong(Problem::bad_blocks_inode, "", fmt::format("mode {:o}, {} links", base.i_mode, base.i_links_count));
  } else if (ino == EXT2_JOURNAL_INO && is_named_journal(fs, inode.number())) {
    if (type != FileType::regular) report.wrong(Problem::journal_inode_missing, "i_mode", std::string(name(type)));
    if (inode.is(EXT4_ENCRYPT_FL)) report.wrong(Problem::journal_inode_missing, "i_flags", "encrypted");
  } else if (ino == EXT4_USR_QUOTA_INO || ino == EXT4_GRP_QUOTA_INO) {
    const bool named = is_named_quota_file(fs, inode.number());
    if (named && type != FileType::regular) report.wrong(Problem::quota_inode, "i_mode", std::string(name(type)));
    if (!named && !is_left_unnamed(fs, inode)) reserved("it has links or blocks, but the superblock names no quota file there");
  } else if (ino == EXT2_JOURNAL_INO) {
    if (!is_left_unnamed(fs, inode)) reserved("it has links or blocks, but the superblock names no journal there");
  } else if (ino == EXT2_BOOT_LOADER_INO) {
    if (type == FileType::directory) reserved("the boot loader inode is a directory");
  } else if (ino == EXT2_RESIZE_INO) {
    if (base.i_mode != 0 && type != FileType::regular) reserved(fmt::format("the resize inode has mode {:#o}", base.i_mode));
  } else if (base.i_mode != 0) {
    reserved(fmt::format("it has mode {:#o}", base.i_mode));
  }
}

// On the orphan list i_dtime is the number of the next inode. A time is larger than any number of an inode, where the
// clock was not at its begin when the file system was made or used.
bool dtime_is_number(const FileSystem& fs, const Inode& inode) {
  const ext2_super_block& s = fs.super;
  const uint32_t inodes = fs.geometry.inodes;
  const auto is_time = [&](uint32_t time) { return time == 0 || time >= inodes; };
  return inode.base().i_dtime != 0 && inode.base().i_dtime < inodes && is_time(s.s_wtime) && is_time(s.s_mtime) &&
         is_time(s.s_mkfs_time) && !std::ranges::binary_search(fs.orphans, inode.number());
}

// The fields behind the first 128 bytes alone are none that e2fsck looks at in an inode that is not in use.
bool was_written(const Inode& inode) {
  return std::ranges::any_of(inode.raw().first(EXT2_GOOD_OLD_INODE_SIZE), [](std::byte b) { return b != std::byte{}; });
}

void check_deleted(const Inode& inode, InodeReport& report) {
  if (inode.base().i_dtime == 0 && inode.base().i_mode != 0) report.add(Problem::inode_dtime_zero, "i_dtime");
}

// What every inode in use must keep, reserved or not.
void check_file(const FileSystem& fs, const InodeFacts& facts, InodeReport& report) {
  const Geometry& g = fs.geometry;
  const Inode& inode = facts.inode;
  const FileType type = inode.type();
  check_flags(g, inode, report);
  check_verity(g, inode, report);
  check_zero_fields(g, fs.super, inode, report);
  check_extra_isize(g, inode, report);
  check_times(inode, report);
  // On the orphan list i_dtime is the number of the next inode.
  const bool orphan = std::ranges::binary_search(fs.orphans, inode.number());
  if (inode.base().i_dtime != 0 && !orphan)
    report.wrong(Problem::inode_dtime_set, "i_dtime", fmt::to_string(inode.base().i_dtime));
  if ((type == FileType::none || type == FileType::unknown) && !facts.looks_like_directory)
    report.wrong(Problem::inode_mode, "i_mode", fmt::format("{:#o}", inode.base().i_mode));
  if (is_special(type)) check_special(inode, report);
  if (type == FileType::directory && facts.map && facts.map->data_blocks == 0) report.add(Problem::directory_without_blocks);
}

}  // namespace

uint32_t flags_without_feature(const Geometry& g, const Inode& inode) {
  uint32_t flags = 0;
  for (const FlagRule& rule : kFlagRules)
    if (inode.is(rule.flag) && !has_feature(g, rule)) flags |= rule.flag;
  return flags;
}

bool looks_like_extents(const Inode& inode) {
  const auto h = load<ext3_extent_header>(inode.block_area());
  return h.eh_magic == EXT3_EXT_MAGIC && h.eh_max >= 2 && h.eh_max <= 4 && h.eh_entries <= h.eh_max && h.eh_depth <= 5;
}

const ZeroField* find_zero_field(std::string_view name) {
  const auto it = std::ranges::find(kZeroFields, name, &ZeroField::name);
  return it == kZeroFields.end() ? nullptr : &*it;
}

uint64_t counted_inode_blocks(const Geometry& g, const InodeFacts& facts) {
  const uint64_t clusters = facts.ea_clusters + (facts.map ? facts.map->clusters : 0);
  const uint64_t blocks = clusters << g.cluster_bits;
  return facts.inode.counts_in_blocks() ? blocks : blocks * (g.block_size / 512);
}

namespace {

// What the root directory has lost can be given back where its first block shows that it is one.
void check_root(const InodeFacts& facts, InodeReport& report) {
  const Inode& inode = facts.inode;
  const bool typed = inode.type() == FileType::directory;
  report.wrong(facts.looks_like_directory ? Problem::root_inode : Problem::root_not_directory, typed ? "i_links_count" : "i_mode",
               typed ? "0" : std::string(name(inode.type())));
}

// One finding for blocks that follow each other.
void check_bad_blocks_list(const FileSystem& fs, const InodeFacts& facts, Findings& findings) {
  InodeReport report(facts.group, facts.inode.number(), findings);
  for (const BlockNo block : fs.bad_metadata) {
    const MetadataExtent* extent = fs.metadata.find(block);
    Finding& f = report.add(Problem::bad_blocks_list);
    f.block = block;
    f.evidence = Note{"", fmt::format("{} of group {}", name(extent->kind), extent->group)};
  }
  for (const BlockNo block : fs.bad_again) {
    Finding& f = report.add(Problem::bad_blocks_again);
    f.block = block;
    f.evidence = Note{"", std::ranges::binary_search(fs.bad_blocks, block) ? "listed already" : "an indirect block of the list"};
  }
}

}  // namespace

void check_inode(const FileSystem& fs, const InodeFacts& facts, Findings& findings) {
  const Geometry& g = fs.geometry;
  const Inode& inode = facts.inode;
  InodeReport report(facts.group, inode.number(), findings);
  if (!facts.checksum_ok && (facts.in_use || was_written(inode))) {
    Finding& f = report.add(Problem::inode_checksum, "i_checksum");
    f.evidence = WrongNumber{facts.checksum_expected, facts.checksum_found, Radix::hex};
  }
  const bool root = inode.number().value == EXT2_ROOT_INO, reserved = inode.number().value < g.first_inode && !root;
  // Any i_dtime of a file with links has a finding of its own.
  if ((reserved || inode.base().i_links_count == 0) && dtime_is_number(fs, inode))
    report.wrong(Problem::orphan_lost, "i_dtime", fmt::to_string(inode.base().i_dtime));
  if (!facts.in_use) return check_deleted(inode, report);
  if (is_reserved_noise(fs, facts)) {
    return report.wrong(Problem::reserved_inode, "", "it holds no inode, but other bytes");
  }

  if (is_root_astray(inode))
    check_root(facts, report);
  else if (facts.looks_like_directory)
    report.wrong(Problem::inode_misplaced_directory, "i_mode", std::string(name(inode.type())));
  if (reserved) {
    check_reserved(fs, facts, report);
    check_reserved_flags(fs, inode, report);
    if (inode.number().value == EXT2_BAD_INO) {
      check_bad_blocks_list(fs, facts, findings);
      check_block_map(fs, facts, findings);
      return;
    }
  } else if (inode.base().i_links_count > 0) {
    check_file(fs, facts, report);
    check_attributes(fs, facts, findings);
    check_symlink(fs, facts, findings);
  }
  if (is_named(fs, inode.number()) && !is_resize_inode(fs, inode.number())) check_ea_location(g, inode, report);
  if (check_block_map(fs, facts, findings)) return;  // what a damaged map holds cannot be counted
  if (facts.map && inode.type() != FileType::symlink) check_size(g, fs.super, facts, report);
  // A reserved inode that was never set up has no map, but may have a length.
  const bool never_set_up = reserved && !facts.map && inode.has_block_map() && !is_left_unnamed(fs, inode);
  if (never_set_up || (inode.is(EXT4_INLINE_DATA_FL) && inode.type() == FileType::regular)) check_size_limit(g, inode, report);
  check_blocks(fs, facts, report);
}

}  // namespace extscrub
