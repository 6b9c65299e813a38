#include "scan/load/load_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <ranges>
#include <tuple>

#include "scan/format/checksum.h"
#include "scan/format/superblock.h"
#include "scan/inodes/orphans.h"
#include "scan/load/backup_search.h"
#include "scan/load/cut_image.h"
#include "scan/load/descriptor_evidence.h"
#include "scan/load/superblock_evidence.h"
#include "scan/map/bad_blocks.h"

namespace extscrub {

namespace {

// Where superblocks are read from, and how large an image they may describe.
struct Source {
  const Image& image;
  const Overlay* overlay;  // may be null
  uint64_t size;           // bytes: those that are there, or more than any superblock says where the rest may be missing
  BackupSearch& search;
};

constexpr uint64_t kAnySize = std::numeric_limits<int64_t>::max();

struct Candidate {
  ext2_super_block super{};
  Geometry geometry;
  bool checksum_ok = true;
};

bool checksum_matches(const ext2_super_block& super) {
  if (!(super.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)) return true;
  return super.s_checksum == superblock_checksum(super);
}

Result<ext2_super_block> read_super(const Source& source, uint64_t at) {
  ext2_super_block super{};
  if (source.overlay) {
    const uint32_t size = source.overlay->block_size();
    std::vector<std::byte> block(std::max<size_t>(size, kSuperblockSize));
    if (auto r = source.overlay->read(BlockNo(at / size), MutableBytes(block).first(size)); !r) return std::unexpected(r.error());
    super = load<ext2_super_block>(block, at % size);
  } else if (auto r = source.image.read(at, mutable_bytes_of(super)); !r) {
    return std::unexpected(r.error());
  }
  return super;
}

// The superblock at byte `at`, if it can be gone by.
Result<Candidate> read_candidate(const Source& source, uint64_t at) {
  auto super = read_super(source, at);
  if (!super) return std::unexpected(super.error());
  Candidate c{.super = *super, .geometry = {}};
  auto geometry = derive_geometry(c.super, source.size);
  c.checksum_ok = checksum_matches(c.super);
  // Features of a superblock that is damaged are not believed.
  if (!geometry && geometry.error().kind == ErrorKind::unknown_feature && !c.checksum_ok)
    return std::unexpected(Error{text_of(geometry.error()) + ", and its checksum does not match", ErrorKind::no_superblock});
  if (!geometry) return std::unexpected(geometry.error());
  c.geometry = std::move(*geometry);
  return c;
}

struct Backup {
  Candidate candidate;
  uint64_t at = 0;      // byte of the image
  bool usable = false;  // otherwise it only speaks against others: without a checksum, at an unusual place
};

enum class Places : uint8_t { usual, all };

// The first sound backup of each file system that there may be one of. Neither block size nor group size can be believed
// without a sound primary, so the places that mke2fs uses are tried, a full bitmap block a group; then, with `all`, the others.
std::vector<Backup> find_backups(const Source& source, const LoadOptions& options, Places places) {
  static constexpr uint32_t kGroups[] = {1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243};
  constexpr size_t kMost = 16;  // an image that is made to mislead may have any number
  std::vector<Backup> found;
  const auto take = [&](uint64_t at, uint64_t block_size, bool usable) {
    auto c = read_candidate({source.image, nullptr, source.size, source.search}, at);
    if (!c || !c->checksum_ok || c->geometry.block_size != block_size || !belongs_at(c->super, c->geometry, at)) return;
    const auto same = std::ranges::find_if(
        found, [&](const Backup& b) { return same_uuid(b.candidate.super, c->super) && b.usable >= usable; });
    if (same == found.end() && found.size() < kMost) found.push_back({std::move(*c), at, usable});
  };
  for (uint32_t bits = EXT2_MIN_BLOCK_LOG_SIZE; bits <= EXT2_MAX_BLOCK_LOG_SIZE; ++bits) {
    const uint64_t block_size = uint64_t{1} << bits;
    if (options.block_size && *options.block_size != block_size) continue;
    for (const uint32_t group : kGroups) {
      const uint64_t at = ((bits == 10 ? 1 : 0) + group * block_size * 8) * block_size;
      if (at + kSuperblockSize > source.image.size()) break;
      take(at, block_size, true);
    }
  }
  if (places == Places::all)
    for (const FoundBackup& b : source.search.found()) take(b.block.value * b.block_size, b.block_size, b.sealed);
  return found;
}

// Everything that says where things are and what they mean is the same in both.
bool same_layout(const ext2_super_block& a, const ext2_super_block& b) {
  const auto layout = [](const ext2_super_block& s) {
    return std::tuple(s.s_blocks_count, s.s_blocks_count_hi, s.s_inodes_count, s.s_first_data_block, s.s_log_block_size,
                      s.s_log_cluster_size, s.s_blocks_per_group, s.s_clusters_per_group, s.s_inodes_per_group, s.s_rev_level,
                      s.s_inode_size, s.s_desc_size, s.s_reserved_gdt_blocks, s.s_first_meta_bg, s.s_first_ino,
                      s.s_feature_compat, s.s_feature_incompat & ~EXT3_FEATURE_INCOMPAT_RECOVER,
                      s.s_feature_ro_compat & ~EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, s.s_checksum_seed);
  };
  return layout(a) == layout(b) && std::ranges::equal(a.s_uuid, b.s_uuid);
}

// A number of blocks or of inodes a group that was damaged gives groups that the number of inodes does not fit.
bool inodes_fit_groups(const Candidate& c) { return c.super.s_inodes_count == c.geometry.inodes; }

bool same_groups(const Candidate& a, const Candidate& b) {
  return a.geometry.groups == b.geometry.groups && a.geometry.inodes_per_group == b.geometry.inodes_per_group;
}

// The primary, gone by as if its descriptors had the size that all have: the field alone is no reason to give up an image
// that has no backup. Not with zero, which is what a superblock without the feature 64bit has: then it may be the feature
// that is wrong, and the descriptors of the small kind.
std::optional<Candidate> with_usual_desc_size(const Source& source) {
  const auto stored = read_super(source, kSuperblockOffset);
  if (!stored || !checksum_matches(*stored) || stored->s_desc_size == 0) return {};
  if (!(stored->s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT)) return {};
  ext2_super_block super = *stored;
  super.s_desc_size = EXT2_MIN_DESC_SIZE_64BIT;
  auto geometry = derive_geometry(super, source.size);
  if (!geometry) return {};
  return Candidate{*stored, std::move(*geometry), true};
}

// Features without which structures that are there are taken for damage; the kernel never turns one off.
constexpr uint32_t kKeptCompat = EXT2_FEATURE_COMPAT_EXT_ATTR;
constexpr uint32_t kKeptIncompat =
    EXT4_FEATURE_INCOMPAT_64BIT | EXT3_FEATURE_INCOMPAT_EXTENTS | EXT4_FEATURE_INCOMPAT_INLINE_DATA;

// The primary with those of these features that it has not, and every sound backup has: a bit of it was lost.
std::optional<Candidate> with_lost_features(const Source& source, const Candidate& primary) {
  constexpr int kEnough = 3;
  const Geometry& g = primary.geometry;
  uint32_t compat = kKeptCompat & ~g.compat, incompat = kKeptIncompat & ~g.incompat;
  if (primary.super.s_desc_size < EXT2_MIN_DESC_SIZE_64BIT) incompat &= ~uint32_t{EXT4_FEATURE_INCOMPAT_64BIT};
  int sound = 0;
  for (GroupNo group(1); group.value < g.groups && sound < kEnough && (compat || incompat); ++group) {
    if (!g.has_super(group)) continue;
    const auto copy = read_super(source, g.super_block(group).value << g.block_bits);
    if (!copy || copy->s_magic != EXT2_SUPER_MAGIC || copy->s_blocks_count != primary.super.s_blocks_count ||
        !checksum_matches(*copy) || !std::ranges::equal(copy->s_uuid, primary.super.s_uuid))
      continue;
    compat &= copy->s_feature_compat;
    incompat &= copy->s_feature_incompat;
    ++sound;
  }
  if (sound == 0 || (compat == 0 && incompat == 0)) return {};
  Candidate whole = primary;
  whole.super.s_feature_compat |= compat;
  whole.super.s_feature_incompat |= incompat;
  auto geometry = derive_geometry(whole.super, source.size);
  if (!geometry) return {};
  whole.geometry = std::move(*geometry);
  return whole;
}

// The primary with metadata_csum, where only its bit was lost: the descriptors still carry the checksums that go with it. Who
// turns the feature off clears them.
std::optional<Candidate> with_lost_checksums(const Source& source, const Candidate& primary) {
  constexpr uint32_t kEnough = 8;
  if (primary.super.s_feature_ro_compat & (EXT4_FEATURE_RO_COMPAT_METADATA_CSUM | EXT4_FEATURE_RO_COMPAT_GDT_CSUM)) return {};
  if (primary.super.s_checksum_type != EXT2_CRC32C_CHKSUM) return {};
  Candidate whole = primary;
  whole.super.s_feature_ro_compat |= EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  auto geometry = derive_geometry(whole.super, source.size);
  if (!geometry) return {};
  whole.geometry = std::move(*geometry);
  const Geometry& g = whole.geometry;
  std::vector<std::byte> raw(g.desc_size);
  for (GroupNo group; group.value < std::min(g.groups, kEnough); ++group) {
    const uint64_t block = g.desc_block(group.value / g.desc_per_block, GroupNo()).value;
    if (!source.image.read((block << g.block_bits) + uint64_t{group.value % g.desc_per_block} * g.desc_size, raw)) return {};
    if (load<uint16_t>(raw, offsetof(ext4_group_desc, bg_checksum)) != group_desc_checksum(g, whole.super, group, raw)) return {};
  }
  return whole;
}

FileSystem file_system(const Source& source, Candidate c, uint64_t at) {
  FileSystem fs;
  fs.image = &source.image;
  fs.blocks = source.overlay;
  fs.super = c.super;
  fs.super_block = BlockNo(at >> c.geometry.block_bits);
  fs.super_checksum_ok = c.checksum_ok;
  fs.geometry = std::move(c.geometry);
  return fs;
}

// Of the backups of several file systems the one whose file system this image is. None where that cannot be told: an older
// file system leaves its backups behind, and a file may hold those of another.
const Backup* choose_backup(const Source& source, const Result<Candidate>& primary, const std::vector<Backup>& backups) {
  const auto fits = [&](const Candidate& c, uint64_t at) { return fits_its_place(file_system(source, c, at)); };
  const Backup* chosen = nullptr;
  if (primary) {
    for (const Backup& b : backups)
      if (b.usable && same_uuid(b.candidate.super, primary->super)) return &b;
    if (fits(*primary, kSuperblockOffset)) return nullptr;
  }
  for (const Backup& b : backups) {
    if (!fits(b.candidate, b.at)) continue;
    if (chosen && !same_uuid(chosen->candidate.super, b.candidate.super)) return nullptr;
    if (!chosen || !chosen->usable) chosen = &b;
  }
  if (chosen || primary) return chosen && chosen->usable ? chosen : nullptr;
  // What would tell is damaged as well: one file system alone may be meant.
  for (const Backup& b : backups) {
    if (!same_uuid(backups.front().candidate.super, b.candidate.super)) return nullptr;
    if (!chosen && b.usable) chosen = &b;
  }
  if (chosen && another_root_is_there(file_system(source, chosen->candidate, chosen->at))) return nullptr;
  return chosen;
}

// A backup that is right where a primary without a checksum is not: its numbers are others than those of all backups of the
// same file system, and more than one of them, the image's size or what the primary's place holds speaks for theirs.
std::optional<Backup> outvoting_backup(const Source& source, const Candidate& primary, const LoadOptions& options) {
  if (primary.geometry.metadata_csum()) return {};
  std::vector<Backup> others;
  const auto take = [&](uint64_t at) {
    if (at + kSuperblockSize > source.image.size()) return true;
    auto c = read_candidate({source.image, nullptr, source.size, source.search}, at);
    if (!c || !same_uuid(c->super, primary.super) || !belongs_at(c->super, c->geometry, at)) return true;
    if (same_numbers(primary.super, c->super)) return false;
    if (std::ranges::find(others, at, &Backup::at) == others.end()) others.push_back({std::move(*c), at, true});
    return true;
  };
  const Geometry& g = primary.geometry;
  for (GroupNo group(1); group.value < std::min(g.groups, 512u); ++group)
    if (g.has_super(group) && !take(g.super_block(group).value << g.block_bits)) return {};
  for (Backup& b : find_backups(source, options, Places::usual))
    if (!take(b.at)) return {};
  if (others.empty()) return {};
  const Backup& first = others.front();
  const auto agreeing =
      std::ranges::count_if(others, [&](const Backup& b) { return same_numbers(first.candidate.super, b.candidate.super); });
  const auto fills_image = [&](const Geometry& of) { return of.blocks == source.image.size() >> of.block_bits; };
  const bool sized = fills_image(first.candidate.geometry) && !fills_image(g);
  if (agreeing < 2 && !sized && fits_its_place(file_system(source, primary, kSuperblockOffset))) return {};
  return fits_its_place(file_system(source, first.candidate, first.at)) ? std::optional(first) : std::nullopt;
}

// The same with metadata_csum, where a superblock was damaged before it was sealed: descriptors and root directory have the right
// checksums by the backup, and not by the primary.
std::optional<Backup> proven_backup(const Source& source, const Candidate& primary, const LoadOptions& options) {
  const auto fits = [&](const Candidate& c, uint64_t at) { return fits_by_checksums(file_system(source, c, at)); };
  if (!primary.geometry.metadata_csum() || fits(primary, kSuperblockOffset)) return {};
  std::optional<Backup> proven;
  const auto take = [&](const Backup& b) {
    if (!proven && b.usable && !same_layout(primary.super, b.candidate.super) && fits(b.candidate, b.at)) proven = b;
  };
  const Geometry& g = primary.geometry;
  for (GroupNo group(1); group.value < std::min(g.groups, 512u) && !proven; ++group) {
    const uint64_t at = g.super_block(group).value << g.block_bits;
    if (!g.has_super(group) || at + kSuperblockSize > source.image.size()) continue;
    auto c = read_candidate({source.image, nullptr, source.size, source.search}, at);
    if (c && c->checksum_ok && belongs_at(c->super, c->geometry, at)) take({std::move(*c), at, true});
  }
  if (!proven)
    for (const Backup& b : find_backups(source, options, Places::usual)) take(b);
  return proven;
}

// What there is against the primary, beside a superblock that was asked for; empty when it is as sound as that, and says the
// same: then it is the one that knows the file system's state.
std::string problem_beside(const Result<Candidate>& primary, const Candidate& named) {
  if (!primary) return text_of(primary.error());
  if (!primary->checksum_ok) return "its checksum does not match";
  if (!inodes_fit_groups(*primary)) return "its groups do not fit its inodes";
  return same_layout(primary->super, named.super) ? "" : "it is not like the superblock that was asked for";
}

// --superblock N: in blocks of --block-size, or of whatever size the superblock found there has.
Result<FileSystem> load_named(const Source& source, const LoadOptions& options) {
  Error last{fmt::format("there is no superblock at block {}", *options.superblock), ErrorKind::no_superblock};
  for (uint32_t bits = EXT2_MIN_BLOCK_LOG_SIZE; bits <= EXT2_MAX_BLOCK_LOG_SIZE; ++bits) {
    if (options.block_size && *options.block_size != 1u << bits) continue;
    const uint64_t block = *options.superblock << bits;
    const uint64_t at = block == 0 ? kSuperblockOffset : block;
    if (at >> bits != *options.superblock && block != 0) continue;
    auto c = read_candidate(source, at);
    if (!c) {
      if (c.error().kind != ErrorKind::no_superblock) last = c.error();
      continue;
    }
    if (c->geometry.block_bits != bits && at != kSuperblockOffset) continue;
    if (at == kSuperblockOffset) return file_system(source, std::move(*c), at);
    auto primary = read_candidate(source, kSuperblockOffset);
    std::string problem = problem_beside(primary, *c);
    FileSystem fs = file_system(source, std::move(problem.empty() ? *primary : *c), at);
    fs.primary_problem = std::move(problem);
    return fs;
  }
  return std::unexpected(last);
}

FileSystem by_backup(const Source& source, const Backup& backup, std::string problem) {
  FileSystem fs = file_system(source, backup.candidate, backup.at);
  fs.primary_problem = std::move(problem);
  return fs;
}

// A primary with a right checksum, or none.
FileSystem load_primary(const Source& source, const LoadOptions& options, Candidate primary) {
  if (const auto backup = outvoting_backup(source, primary, options))
    return by_backup(source, *backup, "its numbers are not those of its backups");
  Candidate whole = with_lost_features(source, primary).value_or(primary);
  if (auto more = with_lost_checksums(source, whole)) whole = std::move(*more);
  if (const auto backup = proven_backup(source, whole, options))
    return by_backup(source, *backup, "it does not go with the checksums of the file system, and a backup does");
  FileSystem fs = file_system(source, std::move(whole), kSuperblockOffset);
  fs.lost_compat = fs.geometry.compat & ~primary.geometry.compat;
  fs.lost_incompat = fs.geometry.incompat & ~primary.geometry.incompat;
  fs.lost_ro_compat = fs.geometry.ro_compat & ~primary.geometry.ro_compat;
  return fs;
}

// No system mounts a file system of the Hurd with 64bit or ea_inode. Where a backup has Linux the primary was spoilt.
bool has_lost_creator(const Source& source, const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  if (!fs.primary_problem.empty() || !is_nobodys(g, fs.super)) return false;
  for (GroupNo group(1); group.value < g.groups; ++group) {
    if (!g.has_super(group)) continue;
    const auto copy = read_super(source, g.super_block(group).value << g.block_bits);
    if (copy && copy->s_magic == EXT2_SUPER_MAGIC && checksum_matches(*copy) && same_layout(*copy, fs.super))
      return copy->s_creator_os == EXT2_OS_LINUX;
  }
  return false;
}

Result<FileSystem> load_from(const Source& source, const LoadOptions& options) {
  if (options.superblock) return load_named(source, options);
  auto primary = read_candidate(source, kSuperblockOffset);
  if (primary && primary->checksum_ok && inodes_fit_groups(*primary)) return load_primary(source, options, std::move(*primary));
  // A feature that is not known is no damage, and a backup that does not have it yet is no way around it.
  if (!primary && primary.error().kind == ErrorKind::unknown_feature) return std::unexpected(primary.error());
  auto usual = primary ? std::nullopt : with_usual_desc_size(source);
  if (usual && fits_its_place(file_system(source, *usual, kSuperblockOffset)))
    return file_system(source, std::move(*usual), kSuperblockOffset);
  const std::vector<Backup> backups = find_backups(source, options, Places::all);
  const Backup* backup = choose_backup(source, primary, backups);
  // With nothing but its checksum against it the primary is still the one that knows the file system's state.
  if (backup && !(primary && same_layout(primary->super, backup->candidate.super))) {
    const bool sealed = primary && primary->checksum_ok;
    if (!sealed || (inodes_fit_groups(backup->candidate) && !same_groups(*primary, backup->candidate)))
      return by_backup(source, *backup,
                       !primary ? text_of(primary.error())
                       : sealed ? "its groups do not fit its inodes"
                                : "its checksum does not match");
  }
  if (usual) return file_system(source, std::move(*usual), kSuperblockOffset);
  if (!primary) return std::unexpected(primary.error());
  return file_system(source, std::move(*primary), kSuperblockOffset);
}

}  // namespace

namespace {

// As far as the image goes.
Result<FileSystem> load_there(const Image& image, const Overlay* overlay, const LoadOptions& options, BackupSearch& search) {
  const Source source{image, overlay, image.size(), search};
  auto fs = load_from(source, options);
  if (fs && !options.superblock && has_lost_creator(source, *fs)) {
    fs->lost_creator = true;
    fs->super.s_creator_os = EXT2_OS_LINUX;
    fs->super_checksum_ok |= checksum_matches(fs->super);  // then that is all that is wrong
  }
  if (fs && fs->geometry.blocks << fs->geometry.block_bits > image.size())
    fs->end = BlockNo(image.size() >> fs->geometry.block_bits);
  if (fs || fs.error().kind == ErrorKind::unknown_feature) return fs;
  auto cut = load_from({image, overlay, kAnySize, search}, options);
  if (!cut || !is_cut_short(*cut)) return fs;
  cut->end = BlockNo(image.size() >> cut->geometry.block_bits);
  return cut;
}

std::string name_found(const std::vector<FoundBackup>& backups) {
  constexpr size_t kNamed = 4;
  std::vector<std::string> names;
  for (const FoundBackup& b : backups | std::views::take(kNamed))
    names.push_back(fmt::format("--superblock {} --block-size {}", b.block, b.block_size));
  return fmt::format("what looks like its backup: {}", fmt::join(names, ", or "));
}

}  // namespace

Result<FileSystem> load_superblock(const Image& image, const Overlay* overlay, const LoadOptions& options) {
  BackupSearch search(image, options.block_size, options.search);
  auto fs = load_there(image, overlay, options, search);
  if (fs || fs.error().kind == ErrorKind::unknown_feature || options.superblock) return fs;
  const std::vector<FoundBackup>& backups = search.found();
  if (backups.empty()) return fs;
  fs.error().advice = name_found(backups);
  return fs;
}

namespace {

// The copies are made once: of what changes they know nothing, least of all which groups have come into use.
void forget_what_is_old(GroupDesc& d) {
  d.flags &= static_cast<uint16_t>(~(EXT2_BG_BLOCK_UNINIT | EXT2_BG_INODE_UNINIT));
  d.itable_unused = 0;
}

bool same_locations(const GroupDesc& a, const GroupDesc& b) {
  return a.block_bitmap == b.block_bitmap && a.inode_bitmap == b.inode_bitmap && a.inode_table == b.inode_table;
}

}  // namespace

void load_descriptors(FileSystem& fs) {
  const Geometry& g = fs.geometry;
  fs.groups = read_descriptors(fs, GroupNo());
  // Beside a backup superblock lie copies of the descriptors, which are gone by where the primary ones differ.
  if (fs.super_block.value >= g.blocks_per_group) {
    const std::vector<GroupDesc> copies = read_descriptors(fs, g.group_of(fs.super_block));
    for (size_t i = 0; i < copies.size(); ++i) {
      if (fs.groups[i].readable && fs.groups[i].checksum_ok && same_locations(fs.groups[i], copies[i])) continue;
      if (fs.primary_problem.empty()) fs.primary_problem = "the descriptors beside it are not like those that were asked for";
      fs.groups[i] = copies[i];
      forget_what_is_old(fs.groups[i]);
    }
  }
  lay_out_metadata(fs);
  judge_descriptors(fs);
  BadBlocks bad = read_bad_blocks(fs);
  fs.bad_blocks = std::move(bad.listed);
  fs.bad_metadata = std::move(bad.in_metadata);
  fs.bad_again = std::move(bad.again);
  fs.orphans = read_orphan_list(fs);
}

}  // namespace extscrub
