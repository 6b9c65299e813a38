#include "scan/filesystem/mmp.h"

#include "scan/format/mmp_block.h"

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
  facts.checksum_expected = mmp_checksum(g.csum_seed, facts.block);
  facts.checksum_ok = has_right_checksum(mmp_seed(g), facts.block);
  return facts;
}

}  // namespace extscrub
