#include "scan/filesystem/mmp.h"

#include "scan/format/crc.h"

namespace extscrub {

MmpFacts read_mmp(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  MmpFacts facts;
  const BlockNo at(fs.super.s_mmp_block);
  if (!g.contains(at) || at.value == g.first_data_block) {
    facts.located = false;
    return facts;
  }
  std::vector<std::byte> block(g.block_size);
  if (!fs.blocks->read(at, block)) {
    facts.readable = false;
    return facts;
  }
  facts.block = load<mmp_struct>(block);
  if (!g.metadata_csum()) return facts;
  facts.checksum_expected = crc32c(g.csum_seed, Bytes(block).first(offsetof(mmp_struct, mmp_checksum)));
  facts.checksum_ok = facts.checksum_expected == facts.block.mmp_checksum;
  return facts;
}

}  // namespace extscrub
