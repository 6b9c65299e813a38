#include "audit/stage/write_waves.h"

namespace extscrub {

namespace {

bool is_counted(const MetadataExtent& extent) {
  return extent.kind != MetadataKind::inode_table && extent.kind != MetadataKind::mmp;
}

WriteWave wave_of(const FileSystem& fs, const UsedBefore& before, BlockNo block) {
  const Geometry& g = fs.geometry;
  if (!g.contains(block)) return WriteWave::last;  // the boot block
  if (!before.claims.test(g, block)) return WriteWave::fresh;
  // Its old contents are another's as well, who may be given a copy of them.
  if (before.claimed_again.test(g, block)) return WriteWave::last;
  const MetadataExtent* metadata = fs.metadata.find(block);
  return metadata && is_counted(*metadata) ? WriteWave::last : WriteWave::pointers;
}

}  // namespace

std::vector<WriteWave> write_waves(const FileSystem& fs, const UsedBefore& before, std::span<const StagedBlock> staged) {
  std::vector<WriteWave> waves;
  waves.reserve(staged.size());
  for (const StagedBlock& block : staged) waves.push_back(wave_of(fs, before, block.block));
  return waves;
}

}  // namespace extscrub
