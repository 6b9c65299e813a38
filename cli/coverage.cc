#include "cli/coverage.h"

#include <algorithm>
#include <array>
#include <set>

namespace extscrub {

namespace {

// How a finding of bytes that cannot be read says what they hold (in its field, or in what was found), and what there is
// of the kind.
struct Structure {
  std::string_view word, structure, unit;
  bool by_inode;  // several blocks of one inode are one of the unit
  std::optional<uint64_t> (*total)(const ImageInfo&, const AuditStatistics&);
};

using Total = std::optional<uint64_t>;

Total groups(const ImageInfo& info, const AuditStatistics&) {
  return info.groups;
}

Total table_blocks(const ImageInfo& info, const AuditStatistics&) {
  if (info.groups == 0 || info.block_size == 0) return {};
  const uint64_t bytes = uint64_t{info.inodes / info.groups} * info.inode_size;
  return info.groups * ((bytes + info.block_size - 1) / info.block_size);
}

Total inodes(const ImageInfo&, const AuditStatistics& statistics) {
  return statistics.inodes_in_use;
}

Total directories(const ImageInfo&, const AuditStatistics& statistics) {
  return statistics.directories;
}

Total unknown(const ImageInfo&, const AuditStatistics&) {
  return {};
}

constexpr std::array<Structure, 8> kStructures{{
    {"group descriptor", "group descriptors", "groups", false, groups},
    {"block bitmap", "block bitmaps", "groups", false, groups},
    {"inode bitmap", "inode bitmaps", "groups", false, groups},
    {"inode table", "inode tables", "blocks", false, table_blocks},
    {"block map", "block maps", "inodes", true, inodes},
    {"directory", "directories", "directories", true, directories},
    {"attribute block", "attribute blocks", "blocks", false, unknown},
    {"symbolic link", "symbolic links", "links", true, unknown},
}};

}  // namespace

std::vector<Coverage> coverage_of(const std::vector<Finding>& findings, const ImageInfo& info,
                                  const AuditStatistics& statistics) {
  std::array<uint64_t, kStructures.size()> unread{};
  std::array<std::set<InodeNo>, kStructures.size()> seen;
  uint64_t others = 0;
  std::vector<Coverage> coverage;
  // Of an image that is cut short the missing blocks are one share, whatever lies there.
  const auto cut = std::ranges::find(findings, Problem::image_truncated, &Finding::problem);
  if (cut != findings.end()) coverage.push_back({"image", "blocks", info.blocks, cut->block_count});
  for (const Finding& f : findings) {
    if (f.problem != Problem::read_error) continue;
    if (cut != findings.end() && !f.inode && f.block && *f.block >= *cut->block) continue;
    const auto* it = std::ranges::find_if(
        kStructures, [&](const Structure& s) { return f.field == s.word || f.found.starts_with(s.word); });
    const auto i = static_cast<size_t>(it - kStructures.begin());
    if (it == kStructures.end())
      ++others;
    else if (!it->by_inode)
      unread[i] += std::max<uint64_t>(f.block_count, 1);
    else if (f.inode && seen[i].insert(*f.inode).second)
      ++unread[i];
  }
  for (size_t i = 0; i < kStructures.size(); ++i)
    if (unread[i] > 0)
      coverage.push_back({kStructures[i].structure, kStructures[i].unit, kStructures[i].total(info, statistics), unread[i]});
  if (others > 0) coverage.push_back({"others", "places", {}, others});
  return coverage;
}

std::optional<ByteRange> bytes_of(const Finding& finding, const ImageInfo& info) {
  if (!finding.block) return {};
  const uint64_t first = finding.block->value * info.block_size;
  return ByteRange{first, first + std::max<uint64_t>(finding.block_count, 1) * info.block_size};
}

}  // namespace extscrub
