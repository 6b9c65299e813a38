// In this order, each step going by what the ones before have found:
//   an inode's fields -> the inode is garbage; a block's contents -> its checksum does not match
//   what else names a garbage inode; the rest of an inode whose map is damaged
//   bits of the bitmaps -> inodes that are garbage, gone, or have lost a part of their map
//   counts -> the bits that explain them to the last one
#include "audit/rules/root_causes.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>

#include "audit/rules/rules.h"

namespace extscrub {

namespace {

// What says by itself that a field of the inode cannot be, or is most unlikely. Several of these at once are no accident of one
// field.
bool is_impossible_field(Problem problem) {
  using enum Problem;
  switch (problem) {
    case inode_checksum:
    case inode_mode:
    case inode_flags:
    case inode_extra_isize:
    case inode_dtime_set:
    case inode_field_nonzero:
    case inode_special_blocks:
    case inode_symlink:
    case inode_time:
    case ea_block_location:
    case inline_data: return true;
    default: return false;
  }
}
constexpr size_t kTooMany = 3;  // kinds of them

// A part of a file's map is lost, so that nobody knows which blocks the file has.
bool hides_blocks(Problem problem) {
  using enum Problem;
  switch (problem) {
    case extent_header:
    case extent_out_of_range:
    case extent_overlap:
    case extent_length_zero:
    case extent_too_far:
    case extent_index_mismatch:
    case extent_node_empty:
    case extent_checksum:
    case indirect_out_of_range:
    case indirect_too_big:
    case map_metadata_block:
    case map_loop: return true;
    default: return false;
  }
}

// What a damaged map makes of the inode besides.
bool follows_from_map(Problem problem) {
  using enum Problem;
  switch (problem) {
    case inode_blocks:
    case inode_size:
    case inode_size_small:
    case inode_symlink:
    case directory_without_blocks:
    case directory_hole:
    case block_multiply_claimed: return true;
    default: return false;
  }
}

// Whatever else is wrong, these say something that nobody can tell from it.
bool stands_alone(Problem problem) {
  using enum Problem;
  switch (problem) {
    case read_error:
    case data_unreadable:
    case image_truncated:
    case metadata_write_lost:
    case metadata_write_perhaps_lost:
    case metadata_block_misplaced:
    case inodes_lost: return true;
    default: return false;
  }
}

bool is_about_entry(Problem problem) {
  using enum Problem;
  switch (problem) {
    case entry_inode_invalid:
    case entry_inode_bad_block:
    case entry_inode_unused:
    case entry_inode_uninit:
    case entry_type:
    case entry_type_unset:
    case entry_unencrypted:
    case entry_policy:
    case entry_value_inode: return true;
    default: return false;
  }
}

// The problem that says that the checksum over what `problem` is about does not match, in the same block of the same inode.
std::optional<Problem> checksum_over(Problem problem) {
  using enum Problem;
  if (is_about_entry(problem)) return directory_checksum;
  switch (problem) {
    case directory_record:
    case directory_dot:
    case directory_dotdot_missing:
    case directory_dot_again:
    case entry_to_itself:
    case entry_to_root:
    case entry_name_empty:
    case entry_name_invalid:
    case entry_name_short:
    case entry_duplicate: return directory_checksum;
    case extent_header:
    case extent_out_of_range:
    case extent_order:
    case extent_overlap:
    case extent_length_zero:
    case extent_too_far:
    case extent_node_empty: return extent_checksum;
    case ea_entry:
    case ea_value:
    case ea_overlap:
    case ea_hash:
    case ea_order:
    case ea_block_header:
    case ea_block_hash: return ea_block_checksum;
    default: return {};
  }
}

// The same for what a group has once.
std::optional<Problem> checksum_over_group(Problem problem) {
  using enum Problem;
  switch (problem) {
    case block_bitmap_mismatch:
    case block_bitmap_padding: return block_bitmap_checksum;
    case inode_bitmap_mismatch:
    case inode_bitmap_padding: return inode_bitmap_checksum;
    case block_bitmap_checksum:
    case inode_bitmap_checksum:
    case group_block_bitmap_location:
    case group_inode_bitmap_location:
    case group_inode_table_location:
    case group_flags:
    case group_itable_unused:
    case group_free_blocks:
    case group_free_inodes:
    case group_used_dirs: return group_desc_checksum;
    default: return {};
  }
}

// Which finding speaks for an inode that is garbage.
int precedence(Problem problem) {
  using enum Problem;
  constexpr Problem kFirst[] = {inode_checksum, inode_mode, inode_flags};
  const auto it = std::ranges::find(kFirst, problem);
  return static_cast<int>(it - std::begin(kFirst));
}

// By how much more should be counted than is stored.
std::optional<int64_t> shortfall(const Finding& f) {
  const auto expected = expected_number(f.evidence);
  if (!expected) return std::nullopt;
  return static_cast<int64_t>(*expected) - static_cast<int64_t>(std::get<WrongNumber>(f.evidence).found);
}

std::string_view directory_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || path.size() == 1) return {};
  return slash == 0 ? "/" : path.substr(0, slash);
}

class Causes {
 public:
  Causes(std::span<const Finding> findings, uint64_t cluster_blocks)
      : findings_(findings), cluster_blocks_(std::max<uint64_t>(cluster_blocks, 1)), causes_(findings.size()) {
    for (size_t i = 0; i < findings.size(); ++i)
      if (const auto& inode = findings[i].inode) by_inode_[*inode].push_back(i);
  }

  void find() {
    of_inodes();
    of_checksums();
    of_inodes_named();
    of_bits();
    of_counts();
  }

  [[nodiscard]] std::vector<size_t> garbage() const {
    std::vector<size_t> all;
    for (const auto& [inode, root] : garbage_) all.push_back(root);
    std::ranges::sort(all);
    return all;
  }
  [[nodiscard]] std::vector<std::optional<size_t>> take() { return std::move(causes_); }

  void of_inodes() {
    for (const auto& [inode, members] : by_inode_) {
      std::vector<Problem> kinds;
      std::optional<size_t> root;
      for (const size_t i : members) {
        const Problem problem = findings_[i].problem;
        if (!is_impossible_field(problem)) continue;
        if (std::ranges::find(kinds, problem) == kinds.end()) kinds.push_back(problem);
        if (!root || precedence(problem) < precedence(findings_[*root].problem)) root = i;
      }
      if (kinds.size() < kTooMany) continue;
      garbage_.emplace(inode, *root);
      for (const size_t i : members) follow(i, *root);
    }
  }

 private:
  // The finding follows from what the other follows from. What has a cause keeps it.
  void follow(size_t i, std::optional<size_t> cause) {
    if (!cause || causes_[i]) return;
    const size_t root = causes_[*cause].value_or(*cause);
    if (root == i || is_cause_[i] || stands_alone(findings_[i].problem)) return;
    causes_[i] = root;
    is_cause_[root] = true;
  }

  void of_checksums() {
    using enum Problem;
    std::map<std::pair<Problem, GroupNo>, size_t> of_group;
    std::map<std::tuple<Problem, std::optional<InodeNo>, std::optional<BlockNo>>, size_t> of_block;
    std::map<Problem, size_t> of_file_system;
    for (size_t i = 0; i < findings_.size(); ++i) {
      const Finding& f = findings_[i];
      of_block.try_emplace({f.problem, f.inode, f.block}, i);
      if (f.group) of_group.try_emplace({f.problem, *f.group}, i);
      of_file_system.try_emplace(f.problem, i);
    }
    const auto in = [](const auto& map, const auto& key) {
      return map.contains(key) ? std::optional(map.at(key)) : std::nullopt;
    };
    // Descriptors come first: what follows from a bitmap's checksum follows from the descriptor that holds that.
    for (const bool descriptors : {true, false})
      for (size_t i = 0; i < findings_.size(); ++i) {
        const Finding& f = findings_[i];
        if (const auto checksum = checksum_over_group(f.problem);
            checksum && f.group && (*checksum == group_desc_checksum) == descriptors)
          follow(i, in(of_group, std::pair(*checksum, *f.group)));
        if (const auto checksum = checksum_over(f.problem); checksum && f.block)
          follow(i, in(of_block, std::tuple(*checksum, f.inode, f.block)));
        if (f.problem == superblock_field) follow(i, in(of_file_system, superblock_checksum));
        if (f.problem == journal_superblock) follow(i, in(of_file_system, journal_superblock_checksum));
      }
  }

  // Of inodes: what it is that their other findings, and findings of others, follow from.
  void of_inodes_named() {
    using enum Problem;
    blame_ = garbage_;
    for (const auto& [inode, members] : by_inode_) {
      if (blame_.contains(inode)) continue;
      const auto damage = std::ranges::find_if(members, [&](size_t i) { return hides_blocks(findings_[i].problem); });
      if (damage != members.end()) blame_.emplace(inode, causes_[*damage].value_or(*damage));
    }
    const std::map<std::string_view, size_t> parents = garbage_by_directory();
    std::map<BlockNo, size_t> claimed;  // by an inode whose map is not to be believed
    for (size_t i = 0; i < findings_.size(); ++i)
      if (const Finding& f = findings_[i]; f.problem == block_multiply_claimed && f.inode && f.block && blame_.contains(*f.inode))
        claimed.try_emplace(*f.block, blame_.at(*f.inode));
    for (size_t i = 0; i < findings_.size(); ++i) {
      const Finding& f = findings_[i];
      if (is_about_entry(f.problem))
        if (const auto it = garbage_.find(f.entry ? f.entry->target : InodeNo()); it != garbage_.end()) follow(i, it->second);
      if (f.inode && follows_from_map(f.problem))
        if (const auto it = blame_.find(*f.inode); it != blame_.end()) follow(i, it->second);
      if (f.problem == block_multiply_claimed && f.block)
        if (const auto it = claimed.find(*f.block); it != claimed.end()) follow(i, it->second);
      // Nobody knows whether what is garbage was, or is, a subdirectory.
      if (f.problem == inode_links && !f.path.empty())
        if (const auto it = parents.find(f.path); it != parents.end()) follow(i, it->second);
    }
  }

  [[nodiscard]] std::map<std::string_view, size_t> garbage_by_directory() const {
    std::map<std::string_view, size_t> parents;
    for (const auto& [inode, root] : garbage_)
      if (const std::string_view directory = directory_of(findings_[root].path); !directory.empty())
        parents.try_emplace(directory, root);
    return parents;
  }

  // Whose blocks, or bits, may be counted wrong: of the group where there is one, else the first of all.
  [[nodiscard]] std::optional<size_t> blamed_in(const std::optional<GroupNo>& group) const {
    using enum Problem;
    std::optional<size_t> first;
    const auto take = [&](size_t i) {
      if (!first || (findings_[*first].group != group && findings_[i].group == group)) first = i;
    };
    for (const auto& [inode, root] : blame_) take(root);
    for (size_t i = 0; i < findings_.size(); ++i)
      if (findings_[i].problem == inodes_lost) take(i);
    return first;
  }

  struct GroupBits {
    std::vector<size_t> blocks, inodes;          // findings of the bitmaps
    int64_t free_blocks = 0, free_inodes = 0;    // by how much the bitmaps have too few of them; clusters
    int64_t block_shortfall = 0, inode_shortfall = 0;  // the same for the descriptor's counts
    std::optional<size_t> lost, garbage;
  };

  [[nodiscard]] std::map<GroupNo, GroupBits> bits_of_groups() const {
    using enum Problem;
    std::map<GroupNo, GroupBits> groups;
    for (size_t i = 0; i < findings_.size(); ++i) {
      const Finding& f = findings_[i];
      if (!f.group) continue;
      GroupBits& bits = groups[*f.group];
      const int64_t sign = is_stale_bit(f.evidence) ? 1 : -1;
      if (f.problem == block_bitmap_mismatch) {
        bits.blocks.push_back(i);
        bits.free_blocks += sign * static_cast<int64_t>((f.block_count + cluster_blocks_ - 1) / cluster_blocks_);
      } else if (f.problem == inode_bitmap_mismatch) {
        bits.inodes.push_back(i);
        bits.free_inodes += sign;
      } else if (f.problem == group_free_blocks) {
        bits.block_shortfall = shortfall(f).value_or(0);
      } else if (f.problem == group_free_inodes) {
        bits.inode_shortfall = shortfall(f).value_or(0);
      } else if (f.problem == inodes_lost) {
        bits.lost = i;
      }
    }
    for (const auto& [inode, root] : garbage_)
      if (findings_[root].group) groups[*findings_[root].group].garbage = root;
    return groups;
  }

  // A bitmap that agrees with the count beside it is as it was written: it is the inodes that changed since.
  void of_bits() {
    for (const auto& [group, bits] : bits_of_groups()) {
      if (!bits.blocks.empty() && bits.free_blocks == bits.block_shortfall) {
        const auto cause = blamed_in(group);
        for (const size_t i : bits.blocks) follow(i, cause);
      }
      if (bits.lost)
        for (const size_t i : bits.inodes)
          if (is_stale_bit(findings_[i].evidence)) follow(i, bits.lost);
    }
  }

  void of_counts() {
    using enum Problem;
    const std::map<GroupNo, GroupBits> groups = bits_of_groups();
    int64_t blocks = 0, inodes = 0;  // of all groups
    std::optional<size_t> of_blocks, of_inodes;
    for (const auto& [group, bits] : groups) blocks += bits.block_shortfall, inodes += bits.inode_shortfall;
    for (size_t i = 0; i < findings_.size(); ++i) {
      const Finding& f = findings_[i];
      if (!f.group) continue;
      const GroupBits& bits = groups.at(*f.group);
      if (f.problem == group_free_blocks) {
        if (!bits.blocks.empty() && bits.free_blocks == bits.block_shortfall) follow(i, bits.blocks.front());
        if (!of_blocks) of_blocks = i;
      } else if (f.problem == group_free_inodes) {
        if (!bits.inodes.empty() && bits.free_inodes == bits.inode_shortfall) follow(i, bits.inodes.front());
        if (!of_inodes) of_inodes = i;
      } else if (f.problem == group_used_dirs) {
        follow(i, bits.garbage ? bits.garbage : bits.lost);
      }
    }
    for (size_t i = 0; i < findings_.size(); ++i) {
      const Finding& f = findings_[i];
      if (f.problem == superblock_free_blocks && shortfall(f) == blocks) follow(i, of_blocks);
      if (f.problem == superblock_free_inodes && shortfall(f) == inodes) follow(i, of_inodes);
      if (f.problem == quota_usage) follow(i, blamed_in({}));
      if (f.problem == names_lost) follow(i, groups_lost(groups));
    }
  }

  [[nodiscard]] static std::optional<size_t> groups_lost(const std::map<GroupNo, GroupBits>& groups) {
    for (const auto& [group, bits] : groups)
      if (bits.lost) return bits.lost;
    return std::nullopt;
  }

  std::span<const Finding> findings_;
  uint64_t cluster_blocks_;
  std::vector<std::optional<size_t>> causes_;
  std::vector<bool> is_cause_ = std::vector<bool>(findings_.size());
  std::map<InodeNo, std::vector<size_t>> by_inode_;
  std::map<InodeNo, size_t> garbage_, blame_;  // the finding that speaks for it
};

}  // namespace

std::vector<std::optional<size_t>> root_causes(std::span<const Finding> findings, uint64_t cluster_blocks) {
  Causes causes(findings, cluster_blocks);
  causes.find();
  return causes.take();
}

std::vector<size_t> garbage_inodes(std::span<const Finding> findings) {
  Causes causes(findings, 1);
  causes.of_inodes();
  return causes.garbage();
}

}  // namespace extscrub
