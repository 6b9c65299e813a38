#include "scan/inodes/orphans.h"

#include <algorithm>
#include <set>

#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"
#include "scan/format/crc.h"
#include "scan/map/block_map.h"

namespace extscrub {

namespace {

constexpr uint32_t kOrphanBlockMagic = 0x0B10CA04;

// The data blocks of a small file, in order.
class DataBlocks : public RunSink {
 public:
  void data(const Run& run, bool) override {
    for (uint32_t i = 0; i < run.count && blocks.size() <= kMost; ++i) blocks.push_back(run.physical + i);
  }
  void node(BlockNo) override {}

  static constexpr size_t kMost = 1u << 16;  // the kernel's limit is 512 KiB
  std::vector<BlockNo> blocks;
};

uint32_t orphan_block_checksum(const Geometry& g, InodeNo file, uint32_t generation, BlockNo at, Bytes block) {
  return crc32c(crc32c_of(inode_seed(g, file, generation), at.value), block.first(block.size() - kOrphanTail));
}

}  // namespace

std::vector<InodeNo> read_orphan_list(const FileSystem& fs) {
  // The kernel drops the list of a file system that is marked with errors: what is on it is not released.
  if (fs.super.s_state & EXT2_ERROR_FS) return {};
  std::set<InodeNo> seen;
  std::vector<std::byte> raw(fs.geometry.inode_size);
  InodeNo next(fs.super.s_last_orphan);
  while (next && fs.geometry.valid_inode(next) && seen.insert(next).second) {
    if (!read_inode(fs, next, raw)) break;
    next = InodeNo(load<uint32_t>(raw, offsetof(ext2_inode, i_dtime)));
  }
  return {seen.begin(), seen.end()};
}

OrphanFileFacts read_orphan_file(const FileSystem& fs, const Inode& inode) {
  OrphanFileFacts facts;
  if (inode.type() != FileType::regular || inode.base().i_links_count == 0 || !inode.has_block_map()) return facts;
  DataBlocks data;
  MapWalker walker(fs);
  const BlockMap& map = walker.walk(inode, data);
  const auto is_checksum = [](const MapDefect& d) { return d.kind == MapDefectKind::checksum; };
  facts.whole = map.whole && std::ranges::all_of(map.defects, is_checksum) && !data.blocks.empty() &&
                data.blocks.size() <= DataBlocks::kMost && map.last_logical + 1 == static_cast<int64_t>(data.blocks.size());
  facts.blocks = std::move(data.blocks);
  return facts;
}

bool is_orphan_file(const FileSystem& fs, InodeNo ino) {
  std::vector<std::byte> raw(fs.geometry.inode_size), block(fs.geometry.block_size);
  if (!fs.geometry.valid_inode(ino) || ino.value < fs.geometry.first_inode || !read_inode(fs, ino, raw)) return false;
  const Inode inode(fs.geometry, ino, raw);
  const OrphanFileFacts facts = read_orphan_file(fs, inode);
  bool sealed = false;
  for (const BlockNo at : facts.blocks) {
    if (!fs.blocks->read(at, block)) return false;
    const OrphanBlockState state = orphan_block_state(fs.geometry, ino, inode.base().i_generation, at, block);
    if (state == OrphanBlockState::magic) return false;
    sealed |= state == OrphanBlockState::sound;
  }
  return facts.whole && sealed;
}

InodeNo find_orphan_file(const FileSystem& fs) {
  const InodeNo ino(fs.super.s_orphan_file_inum);
  return fs.geometry.has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE) && is_orphan_file(fs, ino) ? ino : InodeNo();
}

OrphanBlockState orphan_block_state(const Geometry& g, InodeNo file, uint32_t generation, BlockNo at, Bytes block) {
  const size_t end = block.size() - kOrphanTail;
  if (load<uint32_t>(block, end) != kOrphanBlockMagic) return OrphanBlockState::magic;
  // Without metadata_csum there is none: the field is 0.
  const uint32_t checksum = g.metadata_csum() ? orphan_block_checksum(g, file, generation, at, block) : 0;
  if (load<uint32_t>(block, end + sizeof kOrphanBlockMagic) != checksum) return OrphanBlockState::checksum;
  return OrphanBlockState::sound;
}

void seal_orphan_block(const Geometry& g, InodeNo file, uint32_t generation, BlockNo at, MutableBytes block) {
  const size_t end = block.size() - kOrphanTail;
  store(block, end, kOrphanBlockMagic);
  const uint32_t checksum = g.metadata_csum() ? orphan_block_checksum(g, file, generation, at, block) : 0;
  store(block, end + sizeof kOrphanBlockMagic, checksum);
}

}  // namespace extscrub
