#include "scan/inodes/data_scan.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "scan/image/read_buffer.h"

namespace extscrub {

namespace {

constexpr uint64_t kDataPieceBytes = 1 << 20;

// Sorts, and makes one of those that overlap or touch.
std::vector<BlockRange> merged(std::vector<BlockRange> ranges) {
  std::ranges::sort(ranges, {}, &BlockRange::first);
  size_t n = 0;
  for (const BlockRange& r : ranges) {
    if (n > 0 && r.first <= ranges[n - 1].end)
      ranges[n - 1].end = std::max(ranges[n - 1].end, r.end);
    else
      ranges[n++] = r;
  }
  ranges.resize(n);
  return ranges;
}

std::vector<BlockRange> metadata_of(const FileSystem& fs) {
  std::vector<BlockRange> ranges;
  for (const MetadataExtent& e : fs.metadata.extents()) ranges.push_back({e.first, e.end()});
  return merged(std::move(ranges));
}

// Cuts what is claimed into pieces, in disk order.
class DataPlanner {
 public:
  DataPlanner(const FileSystem& fs, const InodeScan& scan)
      : g_(fs.geometry), scan_(scan), metadata_(metadata_of(fs)), most_(std::max<uint64_t>(1, kDataPieceBytes / g_.block_size)),
        last_(fs.end.value_or(BlockNo(g_.blocks))) {}

  // The next piece; an empty one at the end.
  BlockRange next() {
    while (left_.first >= left_.end)
      if (!next_run()) return {};
    const BlockRange piece{left_.first, std::min(left_.end, left_.first + most_)};
    left_.first = piece.end;
    return piece;
  }

 private:
  // Puts the next run of claimed blocks without metadata into left_; false at the end.
  bool next_run() {
    if (run_.first >= run_.end && !next_claimed()) return false;
    left_ = run_;
    const auto it = std::ranges::upper_bound(metadata_, run_.first, {}, &BlockRange::end);
    if (it != metadata_.end() && it->first <= run_.first) {
      left_ = {};
      run_.first = std::min(it->end, run_.end);
    } else {
      if (it != metadata_.end()) left_.end = std::min(left_.end, it->first);
      run_.first = left_.end;
    }
    return true;
  }

  // Puts the next run of claimed clusters into run_; false at the end.
  bool next_claimed() {
    while (cluster_ < end_ && !is_claimed(cluster_)) cluster_ += skip();
    if (cluster_ >= end_) return false;
    const uint64_t first = cluster_;
    while (cluster_ < end_ && is_claimed(cluster_)) ++cluster_;
    const auto block = [&](uint64_t cluster) { return BlockNo(g_.first_data_block + (cluster << g_.cluster_bits)); };
    run_ = {block(first), std::min(block(cluster_), last_)};
    if (run_.first >= last_) return false;
    return true;
  }

  bool is_claimed(uint64_t cluster) const {
    return scan_.claims.test(GroupNo(static_cast<uint32_t>(cluster / g_.clusters_per_group)),
                             static_cast<uint32_t>(cluster % g_.clusters_per_group));
  }

  // How far it is from cluster_ to the next that may be claimed: groups and words without any are passed over.
  uint64_t skip() const {
    const uint64_t bit = cluster_ % g_.clusters_per_group;
    const auto words = scan_.claims.words(GroupNo(static_cast<uint32_t>(cluster_ / g_.clusters_per_group)));
    if (words.empty()) return g_.clusters_per_group - bit;
    if (words[bit / 64].load(std::memory_order_relaxed) != 0) return 1;
    return std::min<uint64_t>(64 - bit % 64, g_.clusters_per_group - bit);
  }

  const Geometry& g_;
  const InodeScan& scan_;
  const std::vector<BlockRange> metadata_;
  const uint64_t most_;
  const BlockNo last_;  // the first block behind those that are there
  const uint64_t end_ = uint64_t{g_.groups} * g_.clusters_per_group;
  uint64_t cluster_ = 0;
  BlockRange run_{}, left_{};
};

uint64_t total_blocks(const FileSystem& fs, const InodeScan& scan) {
  uint64_t total = 0;
  DataPlanner planner(fs, scan);
  for (BlockRange piece = planner.next(); piece.end; piece = planner.next()) total += piece.end - piece.first;
  return total;
}

struct Reader {
  ReadBuffer buffer;
  std::vector<BlockRange> unreadable;
};

void read_piece(const FileSystem& fs, const BlockRange& piece, Reader& reader) {
  const uint64_t size = fs.geometry.block_size;
  const MutableBytes bytes = reader.buffer.first((piece.end - piece.first) * size);
  fs.image->forget(piece.first.value * size, bytes.size());
  if (!fs.blocks->read(piece.first, bytes))
    for (BlockNo block = piece.first; block < piece.end; ++block)
      if (!fs.blocks->read(block, bytes.first(size))) reader.unreadable.push_back({block, block + 1});
  // Nobody will want it soon, and what others have in memory is worth more.
  fs.image->forget(piece.first.value * size, bytes.size());
}

}  // namespace

Result<DataScan> scan_data(const FileSystem& fs, const InodeScan& scan, Progress* progress) {
  const uint64_t size = fs.geometry.block_size;
  if (progress) progress->phase("data", total_blocks(fs, scan) * size);
  DataPlanner planner(fs, scan);
  bool cancelled = false;
  DataScan result;
  const auto plan = [&](tbb::flow_control& control) -> BlockRange {
    cancelled = cancelled || (progress && progress->cancelled());
    const BlockRange piece = cancelled ? BlockRange{} : planner.next();
    if (!piece.end) control.stop();
    result.bytes_read += (piece.end - piece.first) * size;
    return piece;
  };
  tbb::enumerable_thread_specific<Reader> readers([&] { return Reader{ReadBuffer(std::max(kDataPieceBytes, size)), {}}; });
  const auto read = [&](const BlockRange& piece) {
    read_piece(fs, piece, readers.local());
    if (progress) progress->advance((piece.end - piece.first) * size);
  };
  const auto tokens = static_cast<size_t>(tbb::this_task_arena::max_concurrency());
  tbb::parallel_pipeline(tokens, tbb::make_filter<void, BlockRange>(tbb::filter_mode::serial_in_order, plan) &
                                     tbb::make_filter<BlockRange, void>(tbb::filter_mode::parallel, read));
  if (cancelled) return std::unexpected(Error::cancelled());
  for (Reader& r : readers) result.unreadable.insert(result.unreadable.end(), r.unreadable.begin(), r.unreadable.end());
  result.unreadable = merged(std::move(result.unreadable));
  return result;
}

std::vector<BlockRange> blocks_of(const UnreadableList& list, const FileSystem& fs) {
  const uint64_t size = fs.geometry.block_size, unit = list.unit ? list.unit : size;
  const uint64_t there = fs.end ? fs.end->value : fs.geometry.blocks;
  const uint64_t begin = fs.image->offset(), end = begin + there * size;  // bytes of the file or device
  const uint64_t units = (end + unit - 1) / unit;
  std::vector<BlockRange> blocks;
  for (const auto& [first, behind] : list.ranges) {
    if (first >= units || behind <= first) continue;
    const uint64_t from = std::max(first * unit, begin), to = std::min(std::min(behind, units) * unit, end);
    if (from < to) blocks.push_back({BlockNo((from - begin) / size), BlockNo((to - begin + size - 1) / size)});
  }
  return merged(std::move(blocks));
}

}  // namespace extscrub
