// An image that is cut short: what is behind its end is told by file, and what the rest seems to contradict only because of
// that is no finding.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "audit/rules/rules.h"
#include "scan/filesystem/inode_table.h"

namespace extscrub {

namespace {

// What one inode has behind the end.
struct MissingPart {
  BlockNo first;
  uint32_t first_count = 0;  // blocks of the first run
  uint64_t bytes = 0;        // of its contents
  uint64_t from = UINT64_MAX;
  bool nodes = false, attributes = false;
};

class Missing {
 public:
  Missing(const FileSystem& fs, const InodeScan& scan, const std::vector<Owner>& owners, const Findings& findings)
      : fs_(fs), scan_(scan) {
    for (const Owner& o : owners)
      if (o.inode) take(o);
    for (const Finding& f : findings)
      if (f.problem == Problem::read_error && f.inode && f.block && fs.is_missing(*f.block)) take_unread(f);
    for (const auto& [inode, part] : parts_) {
      nodes_ = nodes_ || part.nodes;
      attributes_ = attributes_ || part.attributes;
      directories_ = directories_ || is_directory(inode);
    }
  }

  // Each run of groups that lack inodes.
  void report_tables(Findings& findings) {
    const Geometry& g = fs_.geometry;
    for (GroupNo group; group.value < g.groups; ++group) {
      if (!lacks_inodes(fs_, group)) continue;
      const GroupNo first = group;
      uint64_t used = 0;
      for (; group.value < g.groups && lacks_inodes(fs_, group); ++group) used += used_inodes(group);
      if (used == 0) continue;
      inodes_ = true;
      const InodeNo from = first_missing(first), last = g.group_first_inode(GroupNo(group.value - 1)) + (g.inodes_per_group - 1);
      Finding& f = add(Problem::read_error, first, std::max(*fs_.end, fs_.groups[first.value].inode_table), findings);
      f.field = "inode table";
      f.evidence =
          Unreadable{UnreadPart::inode_table,
                     fmt::format("inodes {}-{} behind the end of the image, of groups {}-{}, in which {} inodes are in use", from,
                                 last, first, group.value - 1, used)};
    }
  }

  void report_inodes(Findings& findings) const {
    for (const auto& [inode, part] : parts_) {
      const bool directory = is_directory(inode), metadata = directory || part.nodes || part.attributes;
      if (!metadata && part.bytes == 0) continue;
      Finding& f =
          add(metadata ? Problem::read_error : Problem::data_unreadable, fs_.geometry.group_of(inode), part.first, findings);
      f.inode = inode;
      f.block_count = part.first_count;
      if (metadata) f.field = directory ? "directory" : part.nodes ? "block map" : "attribute block";
      const UnreadPart what = !metadata    ? UnreadPart::other
                              : directory  ? UnreadPart::directory
                              : part.nodes ? UnreadPart::block_map
                                           : UnreadPart::attribute_block;
      f.evidence = Unreadable{
          what, part.bytes > 0
                    ? fmt::format("{} bytes behind the end of the image, the first of them byte {}", part.bytes, part.from)
                    : "behind the end of the image"};
    }
  }

  // Whether the finding may come from nothing but the blocks that are missing.
  [[nodiscard]] bool explains(const Finding& f) const {
    using enum Problem;
    switch (f.problem) {
      case read_error:
      case data_unreadable: return f.block ? fs_.is_missing(*f.block) : touches(f);
      case superblock_backup_bad:
      case group_desc_backup: return f.block && fs_.is_missing(*f.block);
      case superblock_free_blocks:
      case group_free_blocks:
      case quota_usage: return inodes_ || nodes_;
      case block_bitmap_mismatch: return (inodes_ || nodes_) && is_stale_bit(f.evidence);
      case superblock_free_inodes: return inodes_;
      case group_free_inodes:
      case group_used_dirs:
      case group_itable_unused:
      case group_flags:
      case inodes_lost: return f.group && lacks_inodes(fs_, *f.group);
      case directory_unconnected:
      case inode_unattached:
      case orphan_lost: return inodes_ || directories_;
      case inode_links: return (inodes_ || directories_) && is_too_high(f.evidence);
      case ea_block_refcount:
      case inline_symlink_uncounted:
      case ea_inode_unreferenced:
      case ea_inode_refcount: return inodes_ || attributes_;
      default: return is_about_entry(f.problem) ? f.entry && lacks(f.entry->target) : explains_inode(f);
    }
  }

 private:
  void take(const Owner& o) {
    MissingPart& part = parts_[o.inode];
    if (part.first_count == 0) part.first = o.first, part.first_count = o.count;
    part.nodes = part.nodes || o.use == Owner::Use::map_node;
    part.attributes = part.attributes || o.use == Owner::Use::ea_block;
    if (o.use != Owner::Use::data || o.unwritten) return;
    const uint64_t begin = o.logical << fs_.geometry.block_bits, end = begin + (uint64_t{o.count} << fs_.geometry.block_bits);
    if (begin >= o.file_size) return;
    part.bytes += std::min(end, o.file_size) - begin;
    part.from = std::min(part.from, begin);
  }

  // A node that could not be read is no owner: what it would have led to is not known.
  void take_unread(const Finding& f) {
    MissingPart& part = parts_[*f.inode];
    if (part.first_count == 0) part.first = *f.block, part.first_count = 1;
    const auto* unreadable = std::get_if<Unreadable>(&f.evidence);
    part.nodes = part.nodes || (unreadable && unreadable->part == UnreadPart::block_map);
  }

  Finding& add(Problem problem, GroupNo group, BlockNo block, Findings& findings) const {
    Finding& f = findings.emplace_back();
    f.problem = problem;
    f.group = group;
    f.block = block;
    return f;
  }

  static bool is_about_entry(Problem problem) {
    using enum Problem;
    static constexpr Problem kAboutEntries[] = {entry_inode_unused, entry_inode_uninit, entry_type,       entry_type_unset,
                                                entry_policy,       entry_unencrypted,  entry_value_inode};
    return std::ranges::find(kAboutEntries, problem) != std::end(kAboutEntries);
  }

  // Of findings that name an inode: part of it is missing, or of one that it depends on.
  bool explains_inode(const Finding& f) const {
    using enum Problem;
    switch (f.problem) {
      case inode_bitmap_mismatch:
      case lost_found_invalid:
      case orphan_list: return f.inode && lacks(*f.inode);
      case ea_value_inode:
      case ea_value:
      case inline_data: return inodes_ || touches(f);
      case encryption_policy:
      case inode_symlink:
      case inode_size:
      case inode_size_small:
      case inode_blocks:
      case directory_without_blocks:
      case lost_found_missing:
      case htree_root:
      case htree_node:
      case htree_range:
      case htree_depth:
      case htree_unreferenced:
      case ea_inode_invalid:
      case ea_inode_hash:
      case orphan_file:
      case quota_inode:
      case quota_file:
      case journal_inode_missing:
      case journal_superblock:
      case journal_superblock_checksum:
      case journal_checksum:
      case journal_log:
      case superblock_resize_inode: return touches(f);
      default: return false;
    }
  }

  bool touches(const Finding& f) const { return f.inode && (parts_.contains(*f.inode) || lacks(*f.inode)); }

  bool lacks(InodeNo inode) const {
    const Geometry& g = fs_.geometry;
    if (!g.valid_inode(inode)) return false;
    const GroupNo group = g.group_of(inode);
    return lacks_inodes(fs_, group) && inode >= first_missing(group);
  }

  InodeNo first_missing(GroupNo group) const {
    const Geometry& g = fs_.geometry;
    const GroupDesc& d = fs_.groups[group.value];
    const InodeNo first = g.group_first_inode(group);
    if (!d.readable || fs_.is_missing(d.inode_table)) return first;
    return first + static_cast<uint32_t>(*fs_.end - d.inode_table) * (g.block_size / g.inode_size);
  }

  uint32_t used_inodes(GroupNo group) const {
    const GroupDesc& d = fs_.groups[group.value];
    const uint32_t all = fs_.geometry.inodes_per_group;
    return d.readable ? all - std::min(all, d.free_inodes) : all;
  }

  bool is_directory(InodeNo inode) const { return scan_.directories.find(inode) < scan_.directories.directories.size(); }

  static bool is_too_high(const FindingEvidence& evidence) {
    const auto* number = std::get_if<WrongNumber>(&evidence);
    return number && number->expected && *number->expected < number->found;
  }

  const FileSystem& fs_;
  const InodeScan& scan_;
  std::map<InodeNo, MissingPart> parts_;
  bool inodes_ = false, nodes_ = false, attributes_ = false, directories_ = false;  // some of them are missing
};

}  // namespace

void check_missing(const FileSystem& fs, const InodeScan& scan, const std::vector<Owner>& owners, Findings& findings) {
  Missing missing(fs, scan, owners, findings);
  Findings own;
  missing.report_tables(own);
  missing.report_inodes(own);
  findings.erase_if([&](const Finding& f) { return missing.explains(f); });
  findings.take(std::move(own));
}

}  // namespace extscrub
