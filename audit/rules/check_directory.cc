#include <fmt/format.h>

#include "audit/rules/rules.h"

namespace extscrub {

namespace {

Problem problem_of(EntryDefectKind kind) {
  switch (kind) {
    case EntryDefectKind::record: return Problem::directory_record;
    case EntryDefectKind::dot:
    case EntryDefectKind::dot_inode: return Problem::directory_dot;
    case EntryDefectKind::dot_large: return Problem::directory_dot_large;
    case EntryDefectKind::dotdot: return Problem::directory_dotdot_missing;
    case EntryDefectKind::dot_again: return Problem::directory_dot_again;
    case EntryDefectKind::self: return Problem::entry_to_itself;
    case EntryDefectKind::root: return Problem::entry_to_root;
    case EntryDefectKind::name_empty: return Problem::entry_name_empty;
    case EntryDefectKind::name_invalid: return Problem::entry_name_invalid;
    case EntryDefectKind::name_short: return Problem::entry_name_short;
    case EntryDefectKind::inode_range: return Problem::entry_inode_invalid;
    case EntryDefectKind::inode_on_bad_block: return Problem::entry_inode_bad_block;
    case EntryDefectKind::inode_unused: return Problem::entry_inode_unused;
    case EntryDefectKind::lost_directory: return Problem::inode_misplaced_directory;
    case EntryDefectKind::inode_uninit: return Problem::entry_inode_uninit;
    case EntryDefectKind::value_inode: return Problem::entry_value_inode;
    case EntryDefectKind::type: return Problem::entry_type;
    case EntryDefectKind::duplicate: return Problem::entry_duplicate;
    case EntryDefectKind::unencrypted: return Problem::entry_unencrypted;
    case EntryDefectKind::policy: return Problem::entry_policy;
    case EntryDefectKind::checksum: return Problem::directory_checksum;
    case EntryDefectKind::tail_missing: return Problem::directory_tail_missing;
    case EntryDefectKind::hole: return Problem::directory_hole;
    case EntryDefectKind::unreadable: return Problem::read_error;
    case EntryDefectKind::inline_size: return Problem::directory_inline_size;
  }
  return Problem::read_error;
}

std::string_view type_name(uint64_t type) {
  constexpr std::string_view kNames[] = {"unknown",      "regular file", "directory", "character device",
                                         "block device", "pipe",         "socket",    "symbolic link"};
  return type < std::size(kNames) ? kNames[type] : "a value that does not exist";
}

Problem problem_of(HtreeDefectKind kind) {
  switch (kind) {
    case HtreeDefectKind::reserved:
    case HtreeDefectKind::length:
    case HtreeDefectKind::flags:
    case HtreeDefectKind::version:
    case HtreeDefectKind::levels: return Problem::htree_root;
    case HtreeDefectKind::limit:
    case HtreeDefectKind::count:
    case HtreeDefectKind::block_range:
    case HtreeDefectKind::order: return Problem::htree_node;
    case HtreeDefectKind::checksum: return Problem::htree_checksum;
    case HtreeDefectKind::range: return Problem::htree_range;
    case HtreeDefectKind::depth: return Problem::htree_depth;
    case HtreeDefectKind::referenced_again: return Problem::htree_referenced_again;
    case HtreeDefectKind::unreferenced: return Problem::htree_unreferenced;
  }
  return Problem::htree_node;
}

// The field, or what stands for it, that the numbers are of.
const char* field_of(HtreeDefectKind kind) {
  switch (kind) {
    case HtreeDefectKind::reserved: return "reserved_zero";
    case HtreeDefectKind::length: return "info_length";
    case HtreeDefectKind::flags: return "unused_flags";
    case HtreeDefectKind::version: return "hash_version";
    case HtreeDefectKind::levels: return "indirect_levels";
    case HtreeDefectKind::limit: return "limit";
    case HtreeDefectKind::count: return "count";
    case HtreeDefectKind::block_range: return "block";
    case HtreeDefectKind::order:
    case HtreeDefectKind::range: return "hash";
    case HtreeDefectKind::checksum: return "dt_checksum";
    default: return "";
  }
}

}  // namespace

namespace {

// It is about the inode, and not about the entry.
void check_lost_directory(const FileSystem& fs, const EntryDefect& d, Findings& findings) {
  Finding& f = findings.emplace_back();
  f.problem = problem_of(d.kind);
  f.group = fs.geometry.group_of(d.target);
  f.inode = d.target;
  f.field = d.found == EXT2_FT_UNKNOWN ? "i_links_count" : "i_mode";
  f.evidence = Note{"", std::string(d.found == EXT2_FT_UNKNOWN ? "deleted" : type_name(d.found))};
}

}  // namespace

void check_entry(const FileSystem& fs, const EntryDefect& d, Findings& findings) {
  if (d.kind == EntryDefectKind::lost_directory) return check_lost_directory(fs, d, findings);
  Finding& f = findings.emplace_back();
  f.problem = problem_of(d.kind);
  f.group = fs.geometry.group_of(d.directory);
  f.inode = d.directory;
  if (d.block) f.block = d.block;
  f.logical = d.logical;
  f.entry = EntryPlace{d.target, d.offset, {}};
  switch (d.kind) {
    case EntryDefectKind::checksum:
      f.field = "det_checksum";
      f.evidence = WrongNumber{d.expected, d.found, Radix::hex};
      return;
    case EntryDefectKind::hole: f.evidence = Note{"", fmt::format("{} blocks", d.found)}; return;
    case EntryDefectKind::inline_size: f.evidence = Note{"", fmt::format("{} bytes", d.found)}; return;
    case EntryDefectKind::unreadable:
      f.field = "directory";
      f.evidence = Unreadable{UnreadPart::directory, ""};
      return;
    case EntryDefectKind::tail_missing: return;
    case EntryDefectKind::record: f.evidence = Note{"", fmt::format("at offset {}", d.offset)}; return;
    case EntryDefectKind::type:
      f.entry->name = d.name;
      if (d.found == EXT2_FT_UNKNOWN) f.problem = Problem::entry_type_unset;
      f.evidence = Note{std::string(type_name(d.expected)),
                        fmt::format("{}, in '{}' (inode {}) at offset {}", type_name(d.found), d.name, d.target, d.offset)};
      return;
    default: break;
  }
  f.entry->name = d.name;
  f.evidence = Note{"", fmt::format("'{}' (inode {}) at offset {}", d.name, d.target, d.offset)};
}

void check_htree(const FileSystem& fs, InodeNo directory, const HtreeDefect& d, Findings& findings) {
  Finding& f = findings.emplace_back();
  f.problem = problem_of(d.kind);
  f.group = fs.geometry.group_of(directory);
  f.inode = directory;
  f.logical = d.logical;
  f.field = field_of(d.kind);
  if (d.expected == d.found) return;
  const bool hex = d.kind == HtreeDefectKind::range || d.kind == HtreeDefectKind::order || d.kind == HtreeDefectKind::checksum;
  f.evidence = WrongNumber{d.expected, d.found, hex ? Radix::hex : Radix::decimal};
}

}  // namespace extscrub
