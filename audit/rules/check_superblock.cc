#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "audit/catalogue/field.h"
#include "audit/rules/rules.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"
#include "scan/format/superblock.h"
#include "scan/journal/journal.h"

namespace extscrub {

namespace {

// Collects findings about the superblock that was gone by.
class SuperblockReport {
 public:
  SuperblockReport(const FileSystem& fs, Findings& findings) : fs_(fs), findings_(findings) {}

  Finding& add(Problem problem) {
    Finding& f = findings_.emplace_back();
    f.problem = problem;
    f.block = fs_.super_at();
    return f;
  }

  // The field must hold `expected`.
  void equal(std::string_view field, uint64_t expected, uint64_t found) {
    if (expected != found) wrong(field, WrongNumber{expected, found});
  }
  void at_most(std::string_view field, uint64_t limit, uint64_t found) {
    if (found > limit) wrong(field, WrongNumber{limit, found, Radix::decimal, true});
  }
  void invalid(std::string_view field, std::string expected, uint64_t found) {
    invalid(field, std::move(expected), fmt::to_string(found));
  }
  void invalid(std::string_view field, std::string expected, std::string found) {
    wrong(field, Note{std::move(expected), std::move(found)});
  }
  void contradiction(std::string what) { add(Problem::superblock_features).evidence = Note{"", std::move(what)}; }

 private:
  void wrong(std::string_view field, FindingEvidence evidence) {
    Finding& f = add(Problem::superblock_field);
    f.field = field;
    f.evidence = std::move(evidence);
  }

  const FileSystem& fs_;
  Findings& findings_;
};

uint64_t join(uint32_t hi, uint32_t lo) { return uint64_t{hi} << 32 | lo; }

void check_counts(const FileSystem& fs, SuperblockReport& report) {
  const ext2_super_block& s = fs.super;
  const Geometry& g = fs.geometry;
  report.equal(field::s_inodes_count, g.inodes, s.s_inodes_count);
  const uint64_t reserved =
      s.s_r_blocks_count | (g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT) ? join(s.s_r_blocks_count_hi, 0) : 0);
  report.at_most(field::s_r_blocks_count, g.blocks / 2, reserved);
  report.at_most(field::s_log_groups_per_flex, 31, s.s_log_groups_per_flex);
  // Once the fragments of a group; the kernel refuses to mount when they differ.
  if (!g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_BIGALLOC))
    report.equal(field::s_clusters_per_group, s.s_blocks_per_group, s.s_clusters_per_group);
  // The kernel mounts no other; who made it so cannot be asked, and no repair moves all groups.
  if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_BIGALLOC) && g.cluster_bits > 0)
    report.equal(field::s_first_data_block, 0, s.s_first_data_block);
  if (fs.lost_creator) report.equal(field::s_creator_os, EXT2_OS_LINUX, EXT2_OS_HURD);
  if (is_nobodys(g, s)) report.invalid(field::s_creator_os, "not the Hurd's, with 64bit or ea_inode", s.s_creator_os);
  if (g.metadata_csum()) report.equal(field::s_checksum_type, EXT2_CRC32C_CHKSUM, s.s_checksum_type);
  if (s.s_last_orphan > g.inodes) report.at_most(field::s_last_orphan, g.inodes, s.s_last_orphan);
  if (g.has_compat(EXT4_FEATURE_COMPAT_SPARSE_SUPER2))
    for (const uint32_t group : g.backup_groups) report.at_most(field::s_backup_bgs, g.groups - 1, group);
}

// The extra fields of large inodes: what the file system asks each inode to have.
void check_extra_isize(const FileSystem& fs, SuperblockReport& report) {
  const Geometry& g = fs.geometry;
  if (g.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return;
  const uint32_t room = g.inode_size - EXT2_GOOD_OLD_INODE_SIZE;
  const auto check = [&](std::string_view field, uint16_t size) {
    if (size != 0 && (size < 4 || size > room || size % 4 != 0))
      report.invalid(field, fmt::format("0, or a multiple of 4 up to {}", room), size);
  };
  check(field::s_min_extra_isize, fs.super.s_min_extra_isize);
  check(field::s_want_extra_isize, fs.super.s_want_extra_isize);
}

// Descriptors of 32 bytes do without the field, but no tool of e2fsprogs opens an image with an impossible one.
void check_desc_size(const FileSystem& fs, SuperblockReport& report) {
  const uint16_t size = fs.super.s_desc_size;
  if (fs.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) return report.equal(field::s_desc_size, fs.geometry.desc_size, size);
  if (size != 0 && !std::has_single_bit(size)) report.invalid(field::s_desc_size, "0, or a power of 2", size);
}

// For which the kernel mounts nothing, though it hardly uses them.
void check_refused_values(const FileSystem& fs, SuperblockReport& report) {
  const ext2_super_block& s = fs.super;
  const Geometry& g = fs.geometry;
  if (g.has_compat(EXT2_FEATURE_COMPAT_DIR_INDEX))
    report.at_most(field::s_def_hash_version, EXT2_HASH_TEA_UNSIGNED, s.s_def_hash_version);
  if (std::ranges::count(s.s_mount_opts, 0) == 0)
    report.invalid(field::s_mount_opts, "options that end with a NUL", "none in 64 bytes");
}

// The file system keeps its first ten inodes, and no tool has ever kept more: a field that says so takes files for its own.
void check_first_inode(const FileSystem& fs, SuperblockReport& report) {
  constexpr uint32_t kLookedAt = 100;
  const Geometry& g = fs.geometry;
  std::vector<std::byte> raw(g.inode_size);
  for (uint32_t n = EXT2_GOOD_OLD_FIRST_INO; n < std::min(g.first_inode, EXT2_GOOD_OLD_FIRST_INO + kLookedAt); ++n) {
    if (!read_inode(fs, InodeNo(n), raw)) return;
    const Inode inode(g, InodeNo(n), raw);
    if (inode.base().i_links_count == 0 || inode.type() == FileType::none || inode.type() == FileType::unknown) continue;
    return report.equal(field::s_first_ino, EXT2_GOOD_OLD_FIRST_INO, g.first_inode);
  }
}

void check_features(const FileSystem& fs, SuperblockReport& report) {
  const Geometry& g = fs.geometry;
  const ext2_super_block& s = fs.super;
  const bool journal = g.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL);
  const bool resize_inode = g.has_compat(EXT2_FEATURE_COMPAT_RESIZE_INODE);
  if (g.metadata_csum() && g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_GDT_CSUM))
    report.contradiction("metadata_csum and uninit_bg are both set");
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_CSUM_SEED) && !g.metadata_csum())
    report.contradiction("metadata_csum_seed is set without metadata_csum");
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT) && !g.extents()) report.contradiction("64bit is set without extent");
  if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_BIGALLOC) && !g.extents()) report.contradiction("bigalloc is set without extent");
  // With clusters of one block the feature changes nothing but this, so that it may as well go.
  if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_BIGALLOC) && g.cluster_bits == 0 && s.s_first_data_block != 0)
    report.contradiction("bigalloc is set, but the first group does not begin at block 0");
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_CASEFOLD)) report.equal(field::s_encoding, EXT4_ENC_UTF8_12_1, s.s_encoding);
  if (resize_inode && g.has_incompat(EXT2_FEATURE_INCOMPAT_META_BG))
    report.contradiction("resize_inode and meta_bg are both set");
  if (g.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER) && !journal)
    report.contradiction("needs_recovery is set without has_journal");
  if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT) && !g.has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE))
    report.contradiction("orphan_present is set without orphan_file");
  if (s.s_rev_level == EXT2_GOOD_OLD_REV && (g.compat || g.incompat || g.ro_compat))
    report.contradiction("features are set at revision 0, which has none");
  if (!resize_inode && s.s_reserved_gdt_blocks != 0) {
    Finding& f = report.add(Problem::superblock_reserved_gdt);
    f.field = field::s_reserved_gdt_blocks;
    f.evidence = WrongNumber{0, s.s_reserved_gdt_blocks};
  }
  // The kernel mounts nothing that names both an inode and a device, and e2fsck takes a UUID for a device's.
  const bool device = names_journal_device(fs);
  if (!journal || device) report.equal(field::s_journal_inum, 0, s.s_journal_inum);
  if (!journal || (!device && s.s_journal_inum != 0)) report.equal(field::s_journal_dev, 0, s.s_journal_dev);
  if ((!journal || !device) && has_journal_uuid(s))
    report.invalid(field::s_journal_uuid, journal ? "0 with a journal inside" : "0 without a journal", "the UUID of a device");
}

std::string recorded_error(const char* which, uint32_t time, uint8_t time_hi, const uint8_t (&function)[32], uint32_t line,
                           uint64_t block, uint32_t inode) {
  std::string_view name(reinterpret_cast<const char*>(function), sizeof function);
  name = name.substr(0, name.find('\0'));
  const auto when = static_cast<std::time_t>(join(time_hi, time));
  std::string text = fmt::format("{} at {:%Y-%m-%d %H:%M:%S} UTC in {}:{}", which, fmt::gmtime(when), name, line);
  if (inode) text += fmt::format(", inode {}", inode);
  if (block) text += fmt::format(", block {}", block);
  return text;
}

void check_state(const FileSystem& fs, SuperblockReport& report) {
  const ext2_super_block& s = fs.super;
  const Geometry& g = fs.geometry;
  if (g.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER) && g.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL))
    report.add(Problem::journal_needs_recovery);
  else if (!(s.s_state & EXT2_VALID_FS))
    report.add(Problem::superblock_not_clean).field = "s_state";
  if (s.s_state & EXT2_ERROR_FS) report.add(Problem::superblock_error_mark).field = "s_state";
  if (s.s_last_orphan != 0 && s.s_last_orphan <= g.inodes)
    report.add(Problem::orphans_to_release).evidence = Note{"", fmt::format("the list begins at inode {}", s.s_last_orphan)};
  if (s.s_error_count != 0) {
    Finding& f = report.add(Problem::superblock_past_errors);
    f.field = "s_error_count";
    const auto first = recorded_error("the first", s.s_first_error_time, s.s_first_error_time_hi, s.s_first_error_func,
                                      s.s_first_error_line, s.s_first_error_block, s.s_first_error_ino);
    const auto last = recorded_error("the last", s.s_last_error_time, s.s_last_error_time_hi, s.s_last_error_func,
                                     s.s_last_error_line, s.s_last_error_block, s.s_last_error_ino);
    f.evidence = Note{"", fmt::format("{} errors; {}; {}", s.s_error_count, first, last)};
  }
  if (std::ranges::all_of(s.s_uuid, [](uint8_t b) { return b == 0; })) report.add(Problem::superblock_uuid_zero).field = "s_uuid";
}

// `truncate` is no help where the file goes on behind a partition that is too small, and it cannot grow a device.
std::string how_to_go_on(const Image& image, uint64_t length) {
  const bool goes_on = image.offset() + image.size() < image.file_size();
  if (goes_on || image.is_block_device())
    return fmt::format("get the rest, or work on a copy in a file, made {} bytes long if the rest is lost", length);
  return fmt::format("get the rest, or if it is lost: `truncate -s {} IMAGE`", image.offset() + length);
}

void check_length(const FileSystem& fs, SuperblockReport& report) {
  const Geometry& g = fs.geometry;
  const uint64_t length = g.blocks << g.block_bits;
  Finding& f = report.add(Problem::image_truncated);
  f.block = fs.end;
  f.block_count = g.blocks - fs.end->value;
  f.evidence = Note{fmt::format("{} blocks ({} bytes)", g.blocks, length),
                    fmt::format("{} ({} bytes); {}", *fs.end, fs.image->size(), how_to_go_on(*fs.image, length))};
}

}  // namespace

void check_superblock(const FileSystem& fs, Findings& findings) {
  SuperblockReport report(fs, findings);
  if (fs.end) check_length(fs, report);
  if (!fs.primary_problem.empty()) report.add(Problem::superblock_primary_bad).evidence = Note{"", fs.primary_problem};
  if (fs.lost_compat || fs.lost_incompat)
    report.contradiction(fmt::format("{} is not set, but is in the backup superblocks",
                                     fmt::join(feature_names(fs.lost_compat, fs.lost_incompat, 0), ", ")));
  if (fs.lost_ro_compat)
    report.contradiction(fmt::format("{} is not set, but the group descriptors carry its checksums",
                                     fmt::join(feature_names(0, 0, fs.lost_ro_compat), ", ")));
  if (!fs.super_checksum_ok) {
    Finding& f = report.add(Problem::superblock_checksum);
    f.field = "s_checksum";
    f.evidence = WrongNumber{superblock_checksum(fs.super), fs.super.s_checksum, Radix::hex};
  }
  check_counts(fs, report);
  check_extra_isize(fs, report);
  check_desc_size(fs, report);
  check_refused_values(fs, report);
  check_first_inode(fs, report);
  check_features(fs, report);
  check_state(fs, report);
}

void check_backups(const FileSystem&, const std::vector<BackupFacts>& backups, Findings& findings) {
  for (const BackupFacts& b : backups) {
    if (!b.field.empty()) {
      Finding& f = findings.emplace_back();
      f.problem = Problem::superblock_backup_bad;
      f.group = b.group;
      f.block = b.block;
      f.field = b.field;
      f.evidence = Note{b.expected, b.found};
    }
    if (!b.other_locations.empty()) {
      Finding& f = findings.emplace_back();
      f.problem = Problem::group_desc_backup;
      f.group = b.group;
      f.block = b.block + 1;
      f.evidence = Note{"", fmt::format("{} descriptors differ, the first that of group {}", b.other_locations.size(),
                                        b.other_locations.front())};
    }
  }
}

void check_resize_inode(const FileSystem& fs, const ResizeInodeFacts& facts, Findings& findings) {
  if (facts.reserved_blocks)
    SuperblockReport(fs, findings).equal(field::s_reserved_gdt_blocks, *facts.reserved_blocks, fs.super.s_reserved_gdt_blocks);
  if (facts.problem.empty()) return;
  Finding& f = findings.emplace_back();
  f.problem = Problem::superblock_resize_inode;
  f.inode = InodeNo(EXT2_RESIZE_INO);
  if (facts.block) f.block = facts.block;
  f.evidence = Note{facts.expected, facts.found.empty() ? facts.problem : fmt::format("{} ({})", facts.found, facts.problem)};
}

void check_clock(const FileSystem& fs, uint64_t now, Findings& findings) {
  const ext2_super_block& s = fs.super;
  const auto check = [&](std::string_view field, uint64_t seconds) {
    if (seconds <= now) return;
    Finding& f = findings.emplace_back();
    f.problem = Problem::superblock_time_future;
    f.block = fs.super_at();
    f.field = field;
    f.evidence = Note{"", fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)))};
  };
  check("s_mtime", join(s.s_mtime_hi, s.s_mtime));
  check("s_wtime", join(s.s_wtime_hi, s.s_wtime));
}

// Inodes that the superblock names for a feature that is off: turned on again, it would take over the root directory or
// somebody's file. e2fsck takes them for the feature's own already, and a project quota's inode even when it is free.
void check_named_inodes(const FileSystem& fs, const InodeScan& scan, Findings& findings) {
  const Geometry& g = fs.geometry;
  const ext2_super_block& s = fs.super;
  const auto check = [&](std::string_view field, uint32_t ino, const char* feature, bool also_free) {
    if (ino > g.inodes || (ino < g.first_inode && ino != EXT2_ROOT_INO)) return;
    const GroupNo group = g.group_of(InodeNo(ino));
    if (also_free || scan.used.test(group, InodeNo(ino) - g.group_first_inode(group)))
      SuperblockReport(fs, findings).invalid(field, fmt::format("0 without the feature {}", feature), ino);
  };
  if (!g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA)) {
    check(field::s_usr_quota_inum, s.s_usr_quota_inum, "quota", false);
    check(field::s_grp_quota_inum, s.s_grp_quota_inum, "quota", false);
    check(field::s_prj_quota_inum, s.s_prj_quota_inum, "quota", true);
  }
  if (!g.has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE))
    check(field::s_orphan_file_inum, s.s_orphan_file_inum, "orphan_file", false);
}

void check_needed_features(const FileSystem& fs, const InodeScan& scan, Findings& findings) {
  const Geometry& g = fs.geometry;
  check_named_inodes(fs, scan, findings);
  if (scan.large_files == 0 || g.has_ro_compat(EXT2_FEATURE_RO_COMPAT_LARGE_FILE)) return;
  Finding& f = findings.emplace_back();
  f.problem = Problem::feature_large_file;
  f.block = fs.super_at();
  f.field = "s_feature_ro_compat";
  f.evidence = Note{"", fmt::format("{} files of 2 GiB and more", scan.large_files)};
}

void check_totals(const FileSystem& fs, uint64_t free_clusters, uint64_t free_inodes, Findings& findings) {
  const ext2_super_block& s = fs.super;
  const Geometry& g = fs.geometry;
  // A file system in use keeps its totals in memory; the next mount counts the groups.
  if (g.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER)) return;
  const auto compare = [&](Problem problem, const char* field, uint64_t expected, uint64_t found) {
    if (expected == found) return;
    Finding& f = findings.emplace_back();
    f.problem = problem;
    f.block = fs.super_at();
    f.field = field;
    f.evidence = WrongNumber{expected, found};
  };
  // The superblock counts blocks, also with bigalloc, where only whole clusters are free.
  const uint64_t stored = s.s_free_blocks_count | (g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT) ? join(s.s_free_blocks_hi, 0) : 0);
  compare(Problem::superblock_free_blocks, "s_free_blocks_count", free_clusters << g.cluster_bits, stored);
  compare(Problem::superblock_free_inodes, "s_free_inodes_count", free_inodes, s.s_free_inodes_count);
}

}  // namespace extscrub
