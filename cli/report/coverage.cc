#include "cli/report/coverage.h"

#include <algorithm>
#include <array>
#include <set>

namespace extscrub {

namespace {

// What is counted: several findings of one group, or of one inode, are one.
enum class Unit : uint8_t { block, group, inode };

// What cannot be read, and what there is of the kind.
struct Structure {
  UnreadPart part;
  std::string_view structure, unit;
  Unit counted;
  std::optional<uint64_t> (*total)(const ImageInfo&, const AuditStatistics&);
};

using Total = std::optional<uint64_t>;

Total groups(const ImageInfo& info, const AuditStatistics&) { return info.groups; }

Total table_blocks(const ImageInfo& info, const AuditStatistics&) {
  if (info.groups == 0 || info.block_size == 0) return {};
  const uint64_t bytes = uint64_t{info.inodes / info.groups} * info.inode_size;
  return info.groups * ((bytes + info.block_size - 1) / info.block_size);
}

Total inodes(const ImageInfo&, const AuditStatistics& statistics) { return statistics.inodes_in_use; }

Total directories(const ImageInfo&, const AuditStatistics& statistics) { return statistics.directories; }

Total unknown(const ImageInfo&, const AuditStatistics&) { return {}; }

constexpr std::array<Structure, 8> kStructures{{
    {UnreadPart::group_descriptor, "group descriptors", "groups", Unit::group, groups},
    {UnreadPart::block_bitmap, "block bitmaps", "groups", Unit::group, groups},
    {UnreadPart::inode_bitmap, "inode bitmaps", "groups", Unit::group, groups},
    {UnreadPart::inode_table, "inode tables", "blocks", Unit::block, table_blocks},
    {UnreadPart::block_map, "block maps", "inodes", Unit::inode, inodes},
    {UnreadPart::directory, "directories", "directories", Unit::inode, directories},
    {UnreadPart::attribute_block, "attribute blocks", "blocks", Unit::block, unknown},
    {UnreadPart::symbolic_link, "symbolic links", "links", Unit::inode, unknown},
}};

UnreadPart unread_part(const Finding& f) {
  const auto* unreadable = std::get_if<Unreadable>(&f.evidence);
  return unreadable ? unreadable->part : UnreadPart::other;
}

struct GroupRange {
  uint64_t first = 0, end = 0;
};

// The groups of which a bitmap or the primary descriptor cannot be read. None for copies of descriptors and for reserved blocks.
GroupRange groups_of(const Finding& f, const ImageInfo& info) {
  if (!f.group) return {};
  if (unread_part(f) != UnreadPart::descriptor_blocks) return {f.group->value, f.group->value + uint64_t{1}};
  if (!f.block) return {};
  const uint64_t a_block = info.groups_per_desc_block, count = std::max<uint64_t>(f.block_count, 1);
  if (a_block == 0 || info.block_size == 0) return {};
  const auto clipped = [&](uint64_t first, uint64_t blocks) {
    return GroupRange{first, std::min<uint64_t>(first + blocks * a_block, info.groups)};
  };
  if (f.group->value == 0) return clipped((f.block->value - kSuperblockOffset / info.block_size - 1) * a_block, count);
  // With meta_bg they lie in the first of the groups that they describe.
  const bool meta_bg = std::ranges::find(info.features, "meta_bg") != info.features.end();
  return meta_bg && f.group->value % a_block == 0 ? clipped(f.group->value, 1) : GroupRange{};
}

}  // namespace

std::vector<Coverage> coverage_of(const std::vector<Finding>& findings, const ImageInfo& info,
                                  const AuditStatistics& statistics) {
  std::array<uint64_t, kStructures.size()> blocks{};
  std::array<std::set<uint64_t>, kStructures.size()> seen;  // groups or inodes
  uint64_t others = 0;
  std::vector<Coverage> coverage;
  // Of an image that is cut short the missing blocks are one share, whatever lies there.
  const auto cut = std::ranges::find(findings, Problem::image_truncated, &Finding::problem);
  if (cut != findings.end()) coverage.push_back({"image", "blocks", info.blocks, cut->block_count});
  for (const Finding& f : findings) {
    if (f.problem != Problem::read_error) continue;
    if (cut != findings.end() && !f.inode && f.block && *f.block >= *cut->block) continue;
    const UnreadPart part = unread_part(f);
    const auto* it = std::ranges::find(kStructures, part == UnreadPart::descriptor_blocks ? UnreadPart::group_descriptor : part,
                                       &Structure::part);
    const auto i = static_cast<size_t>(it - kStructures.begin());
    if (it == kStructures.end()) {
      ++others;
    } else if (it->counted == Unit::block) {
      blocks[i] += std::max<uint64_t>(f.block_count, 1);
    } else if (it->counted == Unit::inode) {
      if (f.inode) seen[i].insert(f.inode->value);
    } else {
      const GroupRange groups = groups_of(f, info);
      for (uint64_t group = groups.first; group < groups.end; ++group) seen[i].insert(group);
      if (groups.first >= groups.end) ++others;
    }
  }
  for (size_t i = 0; i < kStructures.size(); ++i)
    if (const uint64_t unread = blocks[i] + seen[i].size(); unread > 0)
      coverage.push_back({kStructures[i].structure, kStructures[i].unit, kStructures[i].total(info, statistics), unread});
  if (others > 0) coverage.push_back({"others", "places", {}, others});
  return coverage;
}

std::optional<ByteRange> bytes_of(const Finding& finding, const ImageInfo& info) {
  if (!finding.block) return {};
  const uint64_t first = finding.block->value * info.block_size;
  return ByteRange{first, first + std::max<uint64_t>(finding.block_count, 1) * info.block_size};
}

}  // namespace extscrub
