#include "scan/directory/directory_reader.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "scan/image/read_buffer.h"

namespace extscrub {

namespace {

constexpr uint64_t kDirectoryPieceBytes = 256 << 10;
constexpr uint64_t kGapBytes = 16 << 10;  // is read over rather than begin another read
constexpr size_t kDirectoryPrefetchPieces = 32;
constexpr uint32_t kSlicesPerPiece = 4096;

// A part of a run, at most as long as a piece.
struct Slice {
  uint32_t run = 0;
  uint32_t first = 0;  // block of the run
  uint32_t count = 0;
};

struct DirectoryPiece {
  uint64_t first = 0;  // block
  uint32_t blocks = 0;
  std::vector<Slice> slices;
};

// Makes pieces of the runs one after another, so that not all have to be kept.
class DirectoryPlanner {
 public:
  DirectoryPlanner(const FileSystem& fs, const DirectoryTable& table, const std::function<bool(uint32_t)>& wanted)
      : fs_(fs), table_(table), wanted_(wanted),
        most_(static_cast<uint32_t>(std::max<uint64_t>(1, kDirectoryPieceBytes / fs.geometry.block_size))),
        gap_(kGapBytes / fs.geometry.block_size) {}

  // The next piece; null when there is none.
  std::shared_ptr<DirectoryPiece> next() {
    while (planned_.size() < kDirectoryPrefetchPieces)
      if (auto piece = plan())
        planned_.push_back(std::move(piece));
      else
        break;
    if (planned_.empty()) return nullptr;
    auto piece = std::move(planned_.front());
    planned_.pop_front();
    return piece;
  }

 private:
  // The slice at the cursor; false at the end.
  bool peek(Slice& slice) {
    while (run_ < table_.runs.size() && !wanted_(table_.runs[run_].directory)) ++run_;
    if (run_ == table_.runs.size()) return false;
    const DirectoryRun& r = table_.runs[run_];
    slice = {run_, offset_, std::min(most_, std::max(1u, static_cast<uint32_t>(r.count)) - offset_)};
    return true;
  }

  void advance(const Slice& slice) {
    offset_ += slice.count;
    if (offset_ < table_.runs[run_].count) return;
    ++run_;
    offset_ = 0;
  }

  std::shared_ptr<DirectoryPiece> plan() {
    auto piece = std::make_shared<DirectoryPiece>();
    Slice slice;
    while (piece->slices.size() < kSlicesPerPiece && peek(slice)) {
      const uint64_t at = table_.runs[slice.run].physical + slice.first;
      const uint64_t end = at + slice.count;
      if (piece->slices.empty()) {
        piece->first = at;
      } else if (at < piece->first || at > piece->first + piece->blocks + gap_ || end - piece->first > most_) {
        break;
      }
      piece->blocks = std::max(piece->blocks, static_cast<uint32_t>(end - piece->first));
      piece->slices.push_back(slice);
      advance(slice);
    }
    if (piece->slices.empty()) return nullptr;
    const uint64_t size = fs_.geometry.block_size;
    fs_.image->prefetch(piece->first * size, piece->blocks * size);
    return piece;
  }

  const FileSystem& fs_;
  const DirectoryTable& table_;
  const std::function<bool(uint32_t)>& wanted_;
  uint32_t most_;
  uint64_t gap_;
  std::deque<std::shared_ptr<DirectoryPiece>> planned_;
  uint32_t run_ = 0, offset_ = 0;
};

void hand_out(const FileSystem& fs, const DirectoryTable& table, const DirectoryPiece& piece, MutableBytes bytes,
              const std::function<void(const DirectoryBlock&)>& fn) {
  const uint32_t size = fs.geometry.block_size;
  const bool all = fs.blocks->read(BlockNo(piece.first), bytes).has_value();
  for (const Slice& slice : piece.slices) {
    const DirectoryRun& run = table.runs[slice.run];
    for (uint32_t i = 0; i < slice.count; ++i) {
      const BlockNo at(run.physical + slice.first + i);
      const MutableBytes block = bytes.subspan((at.value - piece.first) * size, size);
      const bool good = all || fs.blocks->read(at, block).has_value();
      fn({run.directory, at, run.logical + slice.first + i, run.count == 0, good ? Bytes(block) : Bytes()});
    }
  }
}

}  // namespace

Result<uint64_t> read_directories(const FileSystem& fs, const DirectoryTable& table, Progress* progress,
                                  const std::function<bool(uint32_t)>& wanted,
                                  const std::function<void(const DirectoryBlock&)>& fn) {
  const uint64_t size = fs.geometry.block_size;
  DirectoryPlanner planner(fs, table, wanted);
  bool cancelled = false;
  uint64_t bytes_read = 0;
  const auto plan = [&](tbb::flow_control& control) -> std::shared_ptr<DirectoryPiece> {
    cancelled = cancelled || (progress && progress->cancelled());
    auto piece = cancelled ? nullptr : planner.next();
    if (piece)
      bytes_read += piece->blocks * size;
    else
      control.stop();
    return piece;
  };
  const size_t buffer_size = std::max<uint64_t>(kDirectoryPieceBytes, size);
  tbb::enumerable_thread_specific<ReadBuffer> buffers([&] { return ReadBuffer(buffer_size); });
  const auto work = [&](const std::shared_ptr<DirectoryPiece>& piece) {
    hand_out(fs, table, *piece, buffers.local().first(piece->blocks * size), fn);
    if (progress) progress->advance(piece->blocks * size);
  };
  const size_t tokens = 2 * static_cast<size_t>(tbb::this_task_arena::max_concurrency()) + 2;
  tbb::parallel_pipeline(tokens,
                         tbb::make_filter<void, std::shared_ptr<DirectoryPiece>>(tbb::filter_mode::serial_in_order, plan) &
                             tbb::make_filter<std::shared_ptr<DirectoryPiece>, void>(tbb::filter_mode::parallel, work));
  if (cancelled) return std::unexpected(Error::cancelled());
  return bytes_read;
}

Inode inode_in_block(const FileSystem& fs, InodeNo ino, Bytes block) {
  const Geometry& g = fs.geometry;
  const uint64_t offset = uint64_t{ino - g.group_first_inode(g.group_of(ino))} * g.inode_size;
  return Inode(g, ino, block.subspan(offset % g.block_size, g.inode_size));
}

}  // namespace extscrub
