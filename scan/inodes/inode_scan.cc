#include "scan/inodes/inode_scan.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cerrno>

#include "scan/attribute/xattr.h"
#include "scan/filesystem/reserved_inodes.h"
#include "scan/format/checksum.h"
#include "scan/image/read_buffer.h"
#include "scan/inodes/owned_block.h"
#include "scan/inodes/table_pieces.h"
#include "scan/map/misplaced_directory.h"

namespace extscrub {

namespace {

constexpr size_t kNodesPerInode = 5;         // that an inode names itself, at most

// Claims the clusters of one inode, remembering which were claimed before.
class Claimer : public RunSink {
 public:
  Claimer(const Geometry& g, InodeScan& scan) : g_(g), scan_(scan) {}

  void data(const Run& run, bool shares_first_cluster) override {
    // The resize inode lists the blocks reserved for group descriptors, which the metadata map has claimed.
    last_run = run;
    if (own == EXT2_RESIZE_INO) return;
    if (directory) directory->add_run(InodeNo(own), run);
    // A bad block may well lie in the file system's own metadata, which has claimed it.
    if (own == EXT2_BAD_INO)
      for (uint32_t i = 0; i < run.count; ++i)
        if (!metadata->find(run.physical + i)) claim_blocks(run.physical + i, 1, false);
    if (own == EXT2_BAD_INO) return;
    claim_blocks(run.physical, run.count, shares_first_cluster);
  }
  void node(BlockNo block) override {
    if (own == EXT2_RESIZE_INO && metadata->find(block)) return;
    claim_blocks(block, 1, false);
  }

  void claim_blocks(BlockNo first, uint64_t count, bool skip_first_cluster) {
    const uint32_t bits = g_.cluster_bits;
    uint64_t cluster = (first.value - g_.first_data_block) >> bits;
    const uint64_t end = ((first.value - g_.first_data_block + count - 1) >> bits) + 1;
    cluster += skip_first_cluster;
    while (cluster < end) {
      // The next run mostly lies in the same group, which saves a division.
      if (cluster - group_begin_ >= g_.clusters_per_group) {
        group_ = GroupNo(static_cast<uint32_t>(cluster / g_.clusters_per_group));
        group_begin_ = uint64_t{group_.value} * g_.clusters_per_group;
      }
      const GroupNo group = group_;
      const auto bit = static_cast<uint32_t>(cluster - group_begin_);
      const auto n = static_cast<uint32_t>(std::min<uint64_t>(end - cluster, g_.clusters_per_group - bit));
      scan_.claims.set_range(group, bit, n, [&](uint32_t again) {
        scan_.claimed_again.set(group, again);
        claimed_again = true;
      });
      cluster += n;
    }
  }

  uint32_t own = 0;  // the number of the inode at work
  Run last_run;      // of the inode at work
  DirectoryCollector* directory = nullptr;  // takes the runs, where the inode at work is a directory
  bool claimed_again = false;
  const MetadataMap* metadata = nullptr;

 private:
  const Geometry& g_;
  InodeScan& scan_;
  GroupNo group_;            // of the last cluster that was claimed
  uint64_t group_begin_ = 0;  // its first cluster
};

struct InodeWorker {
  InodeWorker(const FileSystem& fs, InodeScan& scan)
      : buffer(std::max<size_t>(kTablePieceBytes, fs.geometry.block_size)), prefetcher(fs), walker(fs, &prefetcher),
        claimer(fs.geometry, scan), usage(fs), directories(fs) {
    claimer.metadata = &fs.metadata;
  }
  ReadBuffer buffer;
  std::vector<ReadFailure> failures;
  Prefetcher prefetcher;
  std::vector<BlockNo> to_fetch;
  MapWalker walker;
  Claimer claimer;
  std::vector<EaReference> ea_references;
  std::vector<InodeNo> broken_maps;
  std::set<BlockNo> metadata_as_nodes, nodes_in_metadata;
  EaFacts attributes;  // of the inode at work, as are the next three
  EaFacts block_attributes;
  SymlinkFacts symlink;
  std::vector<std::byte> encryption;
  std::vector<EaValueReference> ea_values;
  std::vector<InodeNo> ea_inodes;
  QuotaUsage usage;
  uint64_t large_files = 0;
  DirectoryCollector directories;
};

// Reserved inodes count as in use, links or not; the others when they have links, or wait to be released.
bool in_use(const FileSystem& fs, const Inode& inode) {
  return inode.base().i_links_count > 0 || is_reserved(fs.geometry, inode.number()) ||
         std::ranges::binary_search(fs.orphans, inode.number());
}

// Where a checksum is kept, that is wrong as well.
bool is_noise(const Geometry& g, const InodeFacts& facts) {
  return has_foreign_bytes(facts.inode) && (!g.metadata_csum() || !facts.checksum_ok);
}

}  // namespace

bool is_reserved_noise(const FileSystem& fs, const InodeFacts& facts) {
  return !is_named(fs, facts.inode.number()) && is_noise(fs.geometry, facts);
}

namespace {

// A reserved inode that was never set up has nothing to walk, whatever lies in it.
bool has_map_to_walk(const FileSystem& fs, const Inode& inode) {
  if (!inode.has_block_map()) return false;
  const InodeNo ino = inode.number();
  if (ino.value == EXT2_ROOT_INO || !is_reserved(fs.geometry, ino)) return true;
  if (!is_named(fs, ino) && inode.type() == FileType::none) return false;
  return !inode.block_area_is_blank() && !is_left_unnamed(fs, inode);
}

void take_encryption(const EaFacts& attributes, std::vector<std::byte>& out) {
  if (const EaEntry* policy = attributes.find(kEncryptionIndex, "c")) out.assign(policy->value.begin(), policy->value.end());
}

// What the inode is charged for its attributes.
struct EaCharge {
  uint64_t clusters = 0;
  uint64_t inodes = 0;  // with values
};

// The attributes in the inode are in worker.attributes already; those in a block are read only where a charge or the
// encryption policy may depend on them. The block itself is verified later, once for all that share it.
EaCharge charge_attributes(const FileSystem& fs, const Inode& inode, InodeWorker& worker) {
  const Geometry& g = fs.geometry;
  const bool values_outside = g.has_incompat(EXT4_FEATURE_INCOMPAT_EA_INODE);
  EaCharge charge{worker.attributes.charged_clusters, worker.attributes.values.size()};
  if (!values_outside) charge = {};
  worker.block_attributes.entries.clear();
  const BlockNo block = inode.ea_block();
  if (!block || !g.contains(block) || is_left_unnamed(fs, inode) || !g.has_compat(EXT2_FEATURE_COMPAT_EXT_ATTR)) return charge;
  ++charge.clusters;
  worker.ea_references.push_back({block, inode.number(), is_inline_symlink(inode)});
  const bool in_search = inode.is(EXT4_ENCRYPT_FL) && worker.encryption.empty();
  if (!values_outside && !in_search) return charge;
  std::vector<std::byte> bytes(g.block_size);
  if (!fs.blocks->read(block, bytes) || load<uint32_t>(bytes) != EXT2_EXT_ATTR_MAGIC) return charge;
  check_block_attributes(fs, inode, block, bytes, worker.block_attributes);
  if (values_outside) charge.clusters += worker.block_attributes.charged_clusters;
  if (values_outside) charge.inodes += worker.block_attributes.values.size();
  if (in_search) take_encryption(worker.block_attributes, worker.encryption);
  return charge;
}

void scan_attributes(const FileSystem& fs, const Inode& inode, InodeFacts& facts, InodeWorker& worker) {
  if (has_inode_attributes(fs.geometry, inode)) {
    check_inode_attributes(fs, inode, worker.attributes);
    facts.attributes = &worker.attributes;
    const auto& values = worker.attributes.values;
    worker.ea_values.insert(worker.ea_values.end(), values.begin(), values.end());
  }
  if (inode.is(EXT4_ENCRYPT_FL)) {
    worker.encryption.clear();
    if (facts.attributes) take_encryption(worker.attributes, worker.encryption);
    facts.encryption = &worker.encryption;
  }
  if (inode.is(EXT4_EA_INODE_FL) && fs.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_EA_INODE))
    worker.ea_inodes.push_back(inode.number());
}

void scan_symlink(const FileSystem& fs, const Inode& inode, InodeFacts& facts, InodeWorker& worker) {
  const Run& run = worker.claimer.last_run;
  const bool one_block = facts.map && facts.map->data_blocks == 1 && facts.map->depth == 0 && run.logical == 0;
  const BlockNo block = one_block ? run.physical : BlockNo();
  worker.symlink = read_symlink(fs, inode, block, facts.attributes, block ? worker.prefetcher.find(block) : nullptr);
  facts.symlink = &worker.symlink;
}

void verify_checksum(const Geometry& g, const Inode& inode, InodeFacts& facts) {
  if (!g.metadata_csum()) return;
  facts.checksum_expected = inode_checksum(g, inode.number(), inode.raw());
  facts.checksum_found = stored_inode_checksum(g, inode.raw());
  // An inode that was never used is all zero, and was never sealed.
  facts.checksum_ok = facts.checksum_expected == facts.checksum_found || inode.is_blank();
}

// What lies there is the map's node. A list of blocks that names none could be anything.
bool holds_node(const FileSystem& fs, const Inode& inode, BlockNo at) {
  Owner owner{};
  owner.first = at;
  owner.count = 1;
  owner.inode = inode.number();
  owner.use = Owner::Use::map_node;
  std::vector<std::byte> bytes(fs.geometry.block_size);
  if (!fs.blocks->read(at, bytes) || std::ranges::count(bytes, std::byte{0}) == std::ssize(bytes)) return false;
  return fits_owner(fs, owner, inode, bytes);
}

// Whose block it is that a map names as its own node and the descriptors as a bitmap or inode table, the map alone does not say.
void take_broken_map(const FileSystem& fs, const InodeFacts& facts, InodeWorker& worker) {
  worker.broken_maps.push_back(facts.inode.number());
  for (const MapDefect& d : facts.map->defects) {
    if (d.kind != MapDefectKind::metadata_node) continue;
    const MetadataExtent* e = fs.metadata.find(d.block);
    if (!e || e->kind == MetadataKind::superblock || e->kind == MetadataKind::descriptors || e->kind == MetadataKind::mmp)
      continue;
    worker.metadata_as_nodes.insert(d.block);
    if (facts.checksum_ok && holds_node(fs, facts.inode, d.block)) worker.nodes_in_metadata.insert(d.block);
  }
}

void scan_inode(const FileSystem& fs, const Inode& inode, GroupNo group, InodeScan& scan, InodeWorker& worker, GroupTally& tally,
                InodeSink& sink) {
  const Geometry& g = fs.geometry;
  InodeFacts facts{inode, group};
  facts.in_use = in_use(fs, inode);
  verify_checksum(g, inode, facts);
  if (facts.in_use) {
    const uint32_t index = inode.number() - g.group_first_inode(group);
    scan.used.set(group, index);
    ++tally.inodes_used;
    if (!is_reserved(g, inode.number()) && is_noise(g, facts)) {
      scan.noise.set(group, index);
      ++tally.noise;
    }
    tally.last_used = std::max(tally.last_used, index + 1);
    if (is_reserved_noise(fs, facts)) return sink.inode(facts);  // it claims nothing
    if (inode.type() == FileType::directory && inode.base().i_links_count > 0) ++tally.directories;
    const bool collected = inode.base().i_links_count > 0 && worker.directories.add_inode(inode, group, scan.links);
    if (has_map_to_walk(fs, inode)) {
      worker.claimer.own = inode.number().value;
      worker.claimer.directory = collected ? &worker.directories : nullptr;
      facts.map = &worker.walker.walk(inode, worker.claimer);
      if (!facts.map->whole) take_broken_map(fs, facts, worker);
    }
    if (inode.base().i_links_count > 0) scan_attributes(fs, inode, facts, worker);
    if (!facts.attributes) worker.attributes.charged_clusters = 0, worker.attributes.values.clear();
    const EaCharge charge = charge_attributes(fs, inode, worker);
    facts.ea_clusters = charge.clusters;
    if (inode.type() == FileType::symlink && inode.base().i_links_count > 0) scan_symlink(fs, inode, facts, worker);
    if (inode.type() == FileType::regular && inode.size() >> 31) ++worker.large_files;
    if (worker.usage.wanted()) {
      const uint64_t clusters = charge.clusters + (facts.map ? facts.map->clusters : 0);
      worker.usage.add(inode, clusters << (g.cluster_bits + g.block_bits), charge.inodes);
    }
    if (collected) worker.directories.end_directory(facts.map);
    facts.looks_like_directory = is_root_astray(inode) ? begins_like_directory(fs, inode) : is_misplaced_directory(fs, inode);
  }
  sink.inode(facts);
}

// Fetches the blocks that the inodes from `begin` on name as nodes of their maps or as their targets, in the order of the
// disk. Returns how far it came.
uint32_t fetch_nodes(const FileSystem& fs, const TablePiece& piece, Bytes bytes, uint32_t begin, InodeWorker& worker) {
  const Geometry& g = fs.geometry;
  const InodeNo first = g.group_first_inode(piece.group) + piece.first;
  worker.to_fetch.clear();
  uint32_t i = begin;
  for (; i < piece.count && worker.to_fetch.size() + kNodesPerInode <= worker.prefetcher.capacity(); ++i) {
    const Inode inode(g, first + i, bytes.subspan(size_t{i} * g.inode_size, g.inode_size));
    if (inode.base().i_links_count == 0 || !inode.has_block_map()) continue;
    add_first_nodes(inode, worker.to_fetch);
    if (inode.type() == FileType::symlink) add_first_block(inode, worker.to_fetch);
  }
  worker.prefetcher.fetch(worker.to_fetch);
  return i;
}

// Inodes on a block that is given up as bad cannot be used: they count as in use, and nothing is known of them.
void take_bad_inodes(const FileSystem& fs, const TablePiece& piece, InodeScan& scan, GroupTally& tally) {
  const uint32_t per_block = fs.geometry.block_size / fs.geometry.inode_size;
  for (uint32_t i = 0; i < piece.count; ++i) {
    if (!is_bad(fs, piece.block + i / per_block)) continue;
    scan.used.set(piece.group, piece.first + i);
    ++tally.inodes_used;
    tally.last_used = std::max(tally.last_used, piece.first + i + 1);
  }
}

// Every attribute block once, however many inodes share it.
void claim_ea_blocks(const FileSystem& fs, InodeScan& scan) {
  std::ranges::sort(scan.ea_references);
  Claimer claimer(fs.geometry, scan);
  BlockNo last;
  for (const EaReference& r : scan.ea_references)
    if (r.block != last) claimer.claim_blocks(last = r.block, 1, false);
  scan.any_claimed_again |= claimer.claimed_again;
}

void claim_metadata(const FileSystem& fs, InodeScan& scan) {
  Claimer claimer(fs.geometry, scan);
  uint64_t last_cluster = UINT64_MAX;
  BlockNo end;
  for (const MetadataExtent& e : fs.metadata.extents()) {
    const BlockNo first = std::max(e.first, end);  // overlaps are findings of their own
    if (first >= e.end()) continue;
    const uint32_t bits = fs.geometry.cluster_bits;
    claimer.claim_blocks(first, e.end() - first, first.value >> bits == last_cluster);
    end = e.end();
    last_cluster = (end.value - 1) >> bits;
  }
}

std::vector<uint32_t> load_inode_bitmaps(const FileSystem& fs, std::vector<InodeBitmap>& bitmaps) {
  const uint32_t groups = fs.geometry.groups;
  bitmaps.resize(groups);
  std::vector<uint32_t> to_scan(groups);
  tbb::parallel_for(0u, groups, [&](uint32_t i) {
    const GroupNo group(i);
    bitmaps[i] = load_inode_bitmap(fs, group);
    const auto& bytes = bitmaps[i].bytes;
    to_scan[i] = inodes_to_scan(fs, group, bytes ? Bytes(bytes.get(), fs.geometry.block_size) : Bytes());
  });
  return to_scan;
}

template <class T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

bool InodeScan::claims_any(const Geometry& g, const RunList& map) const {
  return std::ranges::any_of(map.runs, [&](const Run& run) { return claims.test_any(g, run.physical, run.count); }) ||
         std::ranges::any_of(map.nodes, [&](BlockNo node) { return claims.test(g, node); });
}

uint32_t inodes_to_scan(const FileSystem& fs, GroupNo group, Bytes bitmap) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  if (!d.readable || !valid_location(g, group, d.inode_table, g.itable_blocks)) return 0;
  if (!g.group_csum() || !d.checksum_ok) return g.inodes_per_group;
  // The root directory and the file system's own inodes are in use whatever the descriptor says.
  const uint32_t own = group.value == 0 ? std::min(g.first_inode - 1, g.inodes_per_group) : 0;
  if (d.inode_uninit()) return own;
  const uint32_t n = std::max(own, g.inodes_per_group - std::min(d.itable_unused, g.inodes_per_group));
  // Inodes that the bitmap shows behind the mark are in use all the same; the mark is then a finding.
  for (uint32_t byte = g.inodes_per_group / 8; byte-- > n / 8 && byte < bitmap.size();)
    if (const auto bits = std::to_integer<uint32_t>(bitmap[byte]))
      return std::max(n, byte * 8 + static_cast<uint32_t>(std::bit_width(bits)));
  return n;
}

Result<InodeScan> scan_inodes(const FileSystem& fs, InodeSink& sink, Progress* progress) {
  InodeScan scan(fs);
  prefetch_bitmaps(fs);
  claim_metadata(fs, scan);
  const std::vector<uint32_t> to_scan = load_inode_bitmaps(fs, scan.inode_bitmaps);
  for (uint32_t i = 0; i < fs.geometry.groups; ++i) scan.tallies[i].scanned = to_scan[i];

  const std::vector<TablePiece> pieces = plan_pieces(fs, to_scan);
  const uint64_t bytes = total_bytes(pieces, fs.geometry.block_size);
  if (progress) progress->phase("inodes", bytes);
  tbb::enumerable_thread_specific<InodeWorker> workers([&] { return InodeWorker(fs, scan); });
  const auto work = [&](InodeWorker& worker, const TablePiece& piece, Bytes data, const std::vector<bool>& good) {
    GroupTally tally;
    if (std::ranges::find(good, false) == good.end()) sink.table(piece.block, data);
    if (!fs.bad_blocks.empty()) take_bad_inodes(fs, piece, scan, tally);
    for (uint32_t begin = 0; begin < piece.count;) {
      const uint32_t end = fetch_nodes(fs, piece, data, begin, worker);
      decode_piece(fs, piece, data, good, begin, end,
                   [&](const Inode& inode) { scan_inode(fs, inode, piece.group, scan, worker, tally, sink); });
      begin = end;
    }
    return tally;
  };
  const auto done = [&](const TablePiece& piece, const GroupTally& part) {
    GroupTally& t = scan.tallies[piece.group.value];
    t.inodes_used += part.inodes_used;
    t.directories += part.directories;
    t.noise += part.noise;
    t.last_used = std::max(t.last_used, part.last_used);
  };
  if (auto r = run_pipeline(fs, pieces, progress, workers, work, done); !r) return std::unexpected(r.error());

  scan.bytes_read = bytes;
  std::vector<LinkTable::Counted> counted;
  for (InodeWorker& w : workers) {
    scan.any_claimed_again |= w.claimer.claimed_again;
    scan.bytes_read += w.walker.bytes_read();
    append(scan.ea_references, w.ea_references);
    append(scan.failures, w.failures);
    append(scan.broken_maps, w.broken_maps);
    scan.metadata_as_nodes.merge(w.metadata_as_nodes);
    scan.nodes_in_metadata.merge(w.nodes_in_metadata);
    append(scan.ea_values, w.ea_values);
    append(scan.ea_inodes, w.ea_inodes);
    scan.usage.add(w.usage);
    scan.large_files += w.large_files;
    append(counted, w.directories.counted);
    scan.directories.take(w.directories);
  }
  scan.links.finish(std::move(counted));
  scan.directories.finish(fs.geometry);
  std::ranges::sort(scan.failures, {}, &ReadFailure::block);
  std::ranges::sort(scan.broken_maps);
  std::ranges::sort(scan.ea_values);
  std::ranges::sort(scan.ea_inodes);
  claim_ea_blocks(fs, scan);
  return scan;
}

Result<void> for_each_used_inode(const FileSystem& fs, Progress* progress, const std::function<void(const Inode&)>& fn) {
  std::vector<InodeBitmap> bitmaps;
  const std::vector<TablePiece> pieces = plan_pieces(fs, load_inode_bitmaps(fs, bitmaps));
  if (progress) progress->phase("owners", total_bytes(pieces, fs.geometry.block_size));
  struct Reader {
    ReadBuffer buffer;
    std::vector<ReadFailure> failures;  // known from the first scan
  };
  tbb::enumerable_thread_specific<Reader> readers(
      [&] { return Reader{ReadBuffer(std::max<size_t>(kTablePieceBytes, fs.geometry.block_size)), {}}; });
  const auto work = [&](Reader&, const TablePiece& piece, Bytes data, const std::vector<bool>& good) {
    decode_piece(fs, piece, data, good, 0, piece.count, [&](const Inode& inode) {
      if (in_use(fs, inode)) fn(inode);
    });
    return 0;
  };
  return run_pipeline(fs, pieces, progress, readers, work, [](const TablePiece&, int) {});
}

}  // namespace extscrub
