#include "scan/inodes/xattr_block.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/prefetcher.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

// The references to one block.
struct Shared {
  size_t first;  // in scan.ea_references
  uint32_t count = 0;
  uint32_t inline_symlinks = 0;
};

std::vector<Shared> group_by_block(const std::vector<EaReference>& references) {
  std::vector<Shared> blocks;
  for (size_t i = 0; i < references.size(); ++i) {
    if (i == 0 || references[i].block != references[i - 1].block) blocks.push_back({i});
    ++blocks.back().count;
    blocks.back().inline_symlinks += references[i].inline_symlink;
  }
  return blocks;
}

struct AttributeWorker {
  explicit AttributeWorker(const FileSystem& fs) : prefetcher(fs) {}
  Prefetcher prefetcher;
  std::vector<std::byte> block, inode;
  EaBlockFacts facts;
  std::vector<EaValueReference> values;
};

void read_facts(const FileSystem& fs, const EaReference& reference, const Shared& shared, AttributeWorker& worker) {
  const Geometry& g = fs.geometry;
  EaBlockFacts& facts = worker.facts;
  facts.block = reference.block;
  facts.owner = reference.inode;
  facts.references = shared.count;
  facts.inline_symlinks = shared.inline_symlinks;
  facts.unreadable.clear();
  facts.header = {};
  facts.checksum_ok = true;
  facts.attributes.entries.clear();
  facts.attributes.defects.clear();
  facts.attributes.values.clear();
  worker.block.resize(g.block_size);
  worker.inode.resize(g.inode_size);
  if (const std::byte* fetched = worker.prefetcher.find(facts.block)) {
    std::memcpy(worker.block.data(), fetched, g.block_size);
  } else if (auto r = fs.blocks->read(facts.block, worker.block); !r) {
    facts.unreadable = text_of(r.error());
    return;
  }
  facts.header = load<ext2_ext_attr_header>(worker.block);
  if (g.metadata_csum()) {
    facts.checksum_expected = ea_block_checksum(g, facts.block, worker.block);
    facts.checksum_ok = facts.checksum_expected == facts.header.h_checksum;
  }
  if (!facts.header_ok() || !read_inode(fs, facts.owner, worker.inode)) return;
  check_block_attributes(fs, Inode(g, facts.owner, worker.inode), facts.block, worker.block, facts.attributes);
  facts.hash_expected = ea_block_hash(facts.attributes.entries);
}

}  // namespace

Result<void> scan_ea_blocks(const FileSystem& fs, InodeScan& scan, Progress* progress,
                            const std::function<void(const EaBlockFacts&)>& take) {
  const std::vector<Shared> blocks = group_by_block(scan.ea_references);
  if (blocks.empty()) return {};
  const uint32_t size = fs.geometry.block_size;
  if (progress) progress->phase("attributes", blocks.size() * uint64_t{size});
  tbb::enumerable_thread_specific<AttributeWorker> workers([&] { return AttributeWorker(fs); });
  std::atomic<bool> cancelled = false;
  tbb::parallel_for(tbb::blocked_range<size_t>(0, blocks.size(), 64), [&](const auto& range) {
    if (cancelled.load(std::memory_order_relaxed)) return;
    if (progress && progress->cancelled()) return cancelled.store(true, std::memory_order_relaxed);
    AttributeWorker& worker = workers.local();
    std::vector<BlockNo> coming;
    for (size_t i = range.begin(); i != range.end(); ++i) coming.push_back(scan.ea_references[blocks[i].first].block);
    worker.prefetcher.fetch(coming);
    for (size_t i = range.begin(); i != range.end(); ++i) {
      read_facts(fs, scan.ea_references[blocks[i].first], blocks[i], worker);
      const auto& values = worker.facts.attributes.values;
      worker.values.insert(worker.values.end(), values.begin(), values.end());
      take(worker.facts);
    }
    if (progress) progress->advance(range.size() * size);
  });
  if (cancelled) return std::unexpected(Error::cancelled());
  for (const AttributeWorker& w : workers) scan.ea_values.insert(scan.ea_values.end(), w.values.begin(), w.values.end());
  std::ranges::sort(scan.ea_values);
  scan.bytes_read += blocks.size() * uint64_t{size};
  return {};
}

}  // namespace extscrub
