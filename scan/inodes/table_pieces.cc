#include "scan/inodes/table_pieces.h"

namespace extscrub {

std::vector<TablePiece> plan_pieces(const FileSystem& fs, const std::vector<uint32_t>& to_scan) {
  const Geometry& g = fs.geometry;
  const uint32_t per_block = g.block_size / g.inode_size;
  const uint32_t blocks_per_piece = std::max(1u, kTablePieceBytes / g.block_size);
  std::vector<TablePiece> pieces;
  for (GroupNo group; group.value < g.groups; ++group) {
    const BlockNo table = fs.groups[group.value].inode_table;
    uint32_t blocks = (to_scan[group.value] + per_block - 1) / per_block;
    if (fs.end && table + blocks > *fs.end) blocks = fs.is_missing(table) ? 0 : static_cast<uint32_t>(*fs.end - table);
    for (uint32_t b = 0; b < blocks; b += blocks_per_piece) {
      const uint32_t n = std::min(blocks_per_piece, blocks - b);
      const uint32_t first = b * per_block;
      pieces.push_back({group, first, std::min(n * per_block, to_scan[group.value] - first), table + b, n});
    }
  }
  std::ranges::stable_sort(pieces, {}, &TablePiece::block);
  return pieces;
}

uint64_t total_bytes(const std::vector<TablePiece>& pieces, uint32_t block_size) {
  uint64_t total = 0;
  for (const TablePiece& p : pieces) total += uint64_t{p.blocks} * block_size;
  return total;
}

bool is_bad(const FileSystem& fs, BlockNo block) { return std::ranges::binary_search(fs.bad_blocks, block); }

std::vector<bool> read_piece(const FileSystem& fs, const TablePiece& piece, MutableBytes out,
                             std::vector<ReadFailure>& failures) {
  std::vector<bool> good(piece.blocks, true);
  bool any_bad = false;
  for (uint32_t i = 0; i < piece.blocks && !fs.bad_blocks.empty(); ++i)
    if (is_bad(fs, piece.block + i)) good[i] = false, any_bad = true;
  if (!any_bad && fs.blocks->read(piece.block, out)) return good;
  const uint32_t size = fs.geometry.block_size;
  for (uint32_t i = 0; i < piece.blocks; ++i) {
    const BlockNo at = piece.block + i;
    if (!good[i]) continue;
    if (auto r = fs.blocks->read(at, out.subspan(size_t{i} * size, size)); !r) {
      good[i] = false;
      failures.push_back({at, piece.group, MetadataKind::inode_table, r.error()});
    }
  }
  return good;
}

}  // namespace extscrub
