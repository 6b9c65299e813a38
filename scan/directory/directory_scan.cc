// In order: the blocks; the leaves of directories whose root named another hash than assumed; the indexes; names that
// may be there twice in different blocks; children and links.
#include "scan/directory/directory_scan.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <string>

#include "scan/attribute/ea_value.h"
#include "scan/directory/directory_checker.h"
#include "scan/directory/directory_reader.h"
#include "scan/directory/directory_tree.h"
#include "scan/directory/link_facts.h"
#include "scan/inodes/own_files.h"

namespace extscrub {

namespace {

using Checkers = tbb::enumerable_thread_specific<DirectoryChecker>;

void check_one(const FileSystem& fs, const DirectoryTable& table, DirectoryChecker& checker, DirectorySink& sink,
               const DirectoryBlock& b) {
  if (b.bytes.empty()) {
    if (fs.is_missing(b.block)) return;  // said once for the whole directory
    EntryDefect d;
    d.kind = EntryDefectKind::unreadable;
    d.directory = table.directories[b.directory].inode;
    d.block = b.block;
    d.logical = b.logical;
    return sink.entry(d);
  }
  if (b.in_inode)
    checker.check_inline(b.directory, b.block, inode_in_block(fs, table.directories[b.directory].inode, b.bytes));
  else
    checker.check_block(b.directory, b.block, b.logical, b.bytes);
}

// All nodes, sorted by directory and logical block.
std::vector<DirectoryChecker::Node> collect_nodes(Checkers& checkers) {
  std::vector<DirectoryChecker::Node> nodes;
  for (DirectoryChecker& c : checkers) {
    std::ranges::move(c.nodes, std::back_inserter(nodes));
    c.nodes.clear();
  }
  std::ranges::sort(nodes, {}, [](const auto& n) { return std::pair(n.directory, n.logical); });
  return nodes;
}

Result<void> hash_again(const FileSystem& fs, const DirectoryTable& table, Checkers& checkers) {
  const unsigned assumed = default_hash_version(fs.super);
  const auto other = [&](uint32_t i) {
    const Directory& d = table.directories[i];
    return d.is(Directory::indexed) && d.hash_version <= EXT2_HASH_TEA && d.hash_version != assumed;
  };
  bool any = false;
  for (uint32_t i = 0; i < table.directories.size() && !any; ++i) any = other(i);
  if (!any) return {};
  const auto rehash = [&](const DirectoryBlock& b) {
    if (!b.bytes.empty()) checkers.local().hash_block(b.directory, b.logical, b.bytes);
  };
  if (auto r = read_directories(fs, table, nullptr, other, rehash); !r) return std::unexpected(r.error());
  return {};
}

// Returns the leaves, by directory, that may share a name with another.
std::vector<std::pair<uint32_t, uint32_t>> verify_indexes(const DirectoryTable& table,
                                                          const std::vector<DirectoryChecker::Node>& nodes,
                                                          const HashRanges& ranges, DirectorySink& sink) {
  std::vector<std::pair<size_t, size_t>> trees;  // of nodes
  for (size_t i = 0; i < nodes.size();) {
    size_t end = i + 1;
    while (end < nodes.size() && nodes[end].directory == nodes[i].directory) ++end;
    trees.emplace_back(i, end);
    i = end;
  }
  tbb::enumerable_thread_specific<std::vector<std::pair<uint32_t, uint32_t>>> shared;
  tbb::parallel_for(size_t{0}, trees.size(), [&](size_t t) {
    const auto [begin, end] = trees[t];
    const Directory& d = table.directories[nodes[begin].directory];
    std::vector<HtreeNodeAt> at;
    for (size_t i = begin; i < end; ++i)
      if (at.empty() || at.back().logical != nodes[i].logical) at.push_back({nodes[i].logical, nodes[i].entries});
    const std::span kinds(ranges.kinds.data() + d.first_range, d.blocks);
    const std::span hashes(ranges.ranges.data() + d.first_range, d.blocks);
    std::vector<std::pair<uint32_t, uint32_t>> continued;
    for (const HtreeDefect& defect : verify_htree(nodes[begin].levels, at, kinds, hashes, continued)) sink.index(d.inode, defect);
    for (const auto& [a, b] : continued) {
      shared.local().emplace_back(nodes[begin].directory, a);
      shared.local().emplace_back(nodes[begin].directory, b);
    }
  });
  std::vector<std::pair<uint32_t, uint32_t>> leaves;
  for (const auto& part : shared) leaves.insert(leaves.end(), part.begin(), part.end());
  std::ranges::sort(leaves);
  leaves.erase(std::unique(leaves.begin(), leaves.end()), leaves.end());
  return leaves;
}

// Directories without index in which a name's hash turned up more than once.
std::vector<uint32_t> repeated_fingerprints(Checkers& checkers) {
  std::vector<DirectoryChecker::Fingerprint> all;
  for (DirectoryChecker& c : checkers) {
    all.insert(all.end(), c.fingerprints.begin(), c.fingerprints.end());
    c.fingerprints = {};
  }
  std::ranges::sort(all);
  std::vector<uint32_t> directories;
  for (size_t i = 1; i < all.size(); ++i)
    if (all[i] == all[i - 1] && (directories.empty() || directories.back() != all[i].directory))
      directories.push_back(all[i].directory);
  return directories;
}

// Reads the blocks in question again and compares the names themselves. Within one block that was done before.
Result<void> find_duplicates(const FileSystem& fs, const DirectoryTable& table,
                             const std::vector<std::pair<uint32_t, uint32_t>>& leaves, const std::vector<uint32_t>& whole,
                             DirectorySink& sink) {
  if (leaves.empty() && whole.empty()) return {};
  struct Name {
    uint32_t directory;
    std::string name;
    uint32_t logical;
    BlockNo block;
    uint32_t offset;
    InodeNo target;
  };
  tbb::enumerable_thread_specific<std::vector<Name>> parts;
  const auto wanted = [&](uint32_t directory) {
    const auto it = std::ranges::lower_bound(leaves, directory, {}, &std::pair<uint32_t, uint32_t>::first);
    return (it != leaves.end() && it->first == directory) || std::ranges::binary_search(whole, directory);
  };
  const auto take = [&](const DirectoryBlock& b) {
    if (b.bytes.empty() || b.in_inode) return;
    if (!std::ranges::binary_search(whole, b.directory) && !std::ranges::binary_search(leaves, std::pair(b.directory, b.logical)))
      return;
    EntryWalk walk(b.bytes, fs.geometry.block_size);
    while (const auto e = walk.next())
      if (e->inode) parts.local().push_back({b.directory, std::string(e->name), b.logical, b.block, e->offset, e->inode});
  };
  if (auto r = read_directories(fs, table, nullptr, wanted, take); !r) return std::unexpected(r.error());
  std::vector<Name> names;
  for (auto& part : parts) std::ranges::move(part, std::back_inserter(names));
  std::ranges::sort(names, {}, [](const Name& n) { return std::tie(n.directory, n.name, n.logical, n.offset); });
  for (size_t i = 1; i < names.size(); ++i) {
    const Name &a = names[i - 1], &b = names[i];
    if (a.directory != b.directory || a.name != b.name || a.logical == b.logical) continue;
    EntryDefect d;
    d.kind = EntryDefectKind::duplicate;
    d.directory = table.directories[b.directory].inode;
    d.block = b.block;
    d.logical = b.logical;
    d.offset = b.offset;
    d.target = b.target;
    d.name = b.name;
    sink.entry(d);
  }
  return {};
}

void report_holes(const DirectoryTable& table, DirectorySink& sink) {
  for (const DirectoryHole& hole : table.holes) {
    EntryDefect d;
    d.kind = EntryDefectKind::hole;
    d.directory = hole.directory;
    d.logical = hole.logical;
    d.found = hole.count;
    sink.entry(d);
  }
}

}  // namespace

Result<DirectoryScan> scan_directories(const FileSystem& fs, InodeScan& scan, DirectorySink& sink, Progress* progress) {
  DirectoryScan result;
  DirectoryTable& table = scan.directories;
  const DirHasher hasher(fs.super);
  HashRanges ranges(table.indexed_blocks);
  const std::vector<InodeNo> own_files = find_own_files(fs);
  Checkers checkers([&] { return DirectoryChecker(fs, scan, hasher, ranges, sink, own_files); });
  if (progress) progress->phase("directories", table.blocks * fs.geometry.block_size);
  const auto check = [&](const DirectoryBlock& b) { check_one(fs, table, checkers.local(), sink, b); };
  const auto bytes = read_directories(fs, table, progress, [](uint32_t) { return true; }, check);
  if (!bytes) return std::unexpected(bytes.error());
  result.bytes_read = *bytes;

  report_holes(table, sink);
  if (auto r = hash_again(fs, table, checkers); !r) return std::unexpected(r.error());
  const auto nodes = collect_nodes(checkers);
  const auto leaves = verify_indexes(table, nodes, ranges, sink);
  if (auto r = find_duplicates(fs, table, leaves, repeated_fingerprints(checkers), sink); !r) return std::unexpected(r.error());

  std::vector<InodeNo> excess;
  for (DirectoryChecker& c : checkers) {
    result.extra_links.insert(result.extra_links.end(), c.extra_links.begin(), c.extra_links.end());
    excess.insert(excess.end(), c.excess.begin(), c.excess.end());
    if (c.lost_found) result.lost_found = result.lost_found ? std::min(result.lost_found, c.lost_found) : c.lost_found;
  }
  std::ranges::sort(excess);
  build_tree(table, result.extra_links);
  result.links = wrong_links(fs, scan, excess);
  return result;
}

Result<void> for_each_entry(const FileSystem& fs, const DirectoryTable& table, Progress* progress,
                            const std::function<void(InodeNo, const DirEntry&)>& fn) {
  const auto each = [&](InodeNo directory, EntryWalk walk) {
    while (const auto e = walk.next())
      if (e->inode && e->name != "." && e->name != "..") fn(directory, *e);
  };
  const auto take = [&](const DirectoryBlock& b) {
    if (b.bytes.empty()) return;
    const InodeNo directory = table.directories[b.directory].inode;
    const uint32_t size = fs.geometry.block_size;
    if (!b.in_inode) return each(directory, EntryWalk(b.bytes, size));
    const Inode inode = inode_in_block(fs, directory, b.bytes);
    each(directory, EntryWalk(inode.block_area(), size, sizeof(uint32_t)));
    if (const auto more = inode_ea_value(fs.geometry, inode, kSystemIndex, "data")) each(directory, EntryWalk(*more, size));
  };
  if (auto r = read_directories(fs, table, progress, [](uint32_t) { return true; }, take); !r) return std::unexpected(r.error());
  return {};
}

}  // namespace extscrub
