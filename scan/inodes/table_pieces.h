// The inode tables, piece by piece: which pieces there are, in disk order, and the pipeline that asks for them ahead, reads
// them and has them decoded. Its workers run on the threads of the current task arena.
#pragma once

#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "scan/format/inode.h"
#include "scan/inodes/inode_scan.h"

namespace extscrub {

inline constexpr uint32_t kTablePieceBytes = 256 << 10;  // of an inode table, read and decoded by one worker at a time
inline constexpr size_t kTablePrefetchPieces = 32;       // asked for ahead of the piece that is decoded

// A part of one group's inode table.
struct TablePiece {
  GroupNo group;
  uint32_t first = 0;  // index in the table
  uint32_t count = 0;  // inodes; 0: none left
  BlockNo block;       // where the first one lies
  uint32_t blocks = 0;
};

// Cuts the used parts of all inode tables into pieces, in the order of the tables on disk.
[[nodiscard]] std::vector<TablePiece> plan_pieces(const FileSystem& fs, const std::vector<uint32_t>& to_scan);

[[nodiscard]] uint64_t total_bytes(const std::vector<TablePiece>& pieces, uint32_t block_size);

// The block is given up as bad.
[[nodiscard]] bool is_bad(const FileSystem& fs, BlockNo block);

// Reads a piece without the blocks that are given up as bad; where that fails, block by block, so that only what cannot be
// read is lost. Returns, for each block, whether it holds what the image has.
[[nodiscard]] std::vector<bool> read_piece(const FileSystem& fs, const TablePiece& piece, MutableBytes out,
                                           std::vector<ReadFailure>& failures);

// Calls each(inode) for those inodes of the piece, from index `begin` to `end`, that could be read.
template <class Each>
void decode_piece(const FileSystem& fs, const TablePiece& piece, Bytes bytes, const std::vector<bool>& good, uint32_t begin,
                  uint32_t end, Each&& each) {
  const Geometry& g = fs.geometry;
  const uint32_t per_block = g.block_size / g.inode_size;
  const InodeNo first = g.group_first_inode(piece.group) + piece.first;
  for (uint32_t i = begin; i < end; ++i)
    if (good[i / per_block]) each(Inode(g, first + i, bytes.subspan(size_t{i} * g.inode_size, g.inode_size)));
}

// The pipeline itself: `work(worker, piece, bytes, good)` runs in parallel, `done(piece)` serially.
template <class Workers, class Work, class Done>
Result<void> run_pipeline(const FileSystem& fs, const std::vector<TablePiece>& pieces, Progress* progress, Workers& workers,
                          Work&& work, Done&& done) {
  const uint32_t block_size = fs.geometry.block_size;
  size_t next = 0, asked = 0;
  bool cancelled = false;
  const auto plan = [&](tbb::flow_control& control) -> size_t {
    cancelled = cancelled || (progress && progress->cancelled());
    if (cancelled || next == pieces.size()) {
      control.stop();
      return 0;
    }
    for (; asked < std::min(pieces.size(), next + kTablePrefetchPieces); ++asked)
      fs.image->prefetch(pieces[asked].block.value * block_size, uint64_t{pieces[asked].blocks} * block_size);
    return next++;
  };
  const auto decode = [&](size_t index) {
    const TablePiece& piece = pieces[index];
    auto& worker = workers.local();
    const MutableBytes bytes = worker.buffer.first(size_t{piece.blocks} * block_size);
    const auto good = read_piece(fs, piece, bytes, worker.failures);
    auto result = work(worker, piece, Bytes(bytes), good);
    if (progress) progress->advance(bytes.size());
    return std::pair(index, result);
  };
  const size_t tokens = 2 * static_cast<size_t>(tbb::this_task_arena::max_concurrency()) + 2;
  using Decoded = std::invoke_result_t<decltype(decode), size_t>;
  tbb::parallel_pipeline(tokens, tbb::make_filter<void, size_t>(tbb::filter_mode::serial_in_order, plan) &
                                     tbb::make_filter<size_t, Decoded>(tbb::filter_mode::parallel, decode) &
                                     tbb::make_filter<Decoded, void>(tbb::filter_mode::serial_out_of_order,
                                                                     [&](Decoded d) { done(pieces[d.first], d.second); }));
  if (cancelled) return std::unexpected(Error::cancelled());
  return {};
}

}  // namespace extscrub
