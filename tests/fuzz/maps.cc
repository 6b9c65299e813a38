// Extent trees and indirect maps: every inode of a patched image is walked, read through its map, and cut.
#include "audit/stage/map_cut.h"
#include "scan/filesystem/inode_table.h"
#include "scan/inodes/directory_table.h"
#include "scan/load/load_file_system.h"
#include "scan/map/file_reader.h"
#include "tests/fuzz/patched_image.h"

namespace extscrub::fuzz {

namespace {

constexpr uint32_t kMostInodes = 64;

bool without_defects(const BlockMap& map) { return map.whole && map.defects.empty(); }

void walk(const FileSystem& fs, const Inode& inode, RunList& list) {
  MapWalker walker(fs);
  const BlockMap& map = walker.walk(inode, list);
  for (const Run& run : list.runs) require(fs.geometry.contains(run.physical, run.count), "a run inside the file system");
  for (const BlockNo node : list.nodes) require(fs.geometry.contains(node), "a node inside the file system");
  if (inode.type() != FileType::directory) return;
  LinkTable links(fs.geometry.groups, fs.geometry.inodes_per_group);
  DirectoryCollector collector(fs);
  if (!collector.add_inode(inode, fs.geometry.group_of(inode.number()), links)) return;
  for (const Run& run : list.runs) collector.add_run(inode.number(), run);
  collector.end_directory(&map);
  DirectoryTable table;
  table.take(collector);
  table.finish(fs.geometry);
}

void read(const FileSystem& fs, const Inode& inode) {
  FileReader file(fs, inode);
  std::vector<std::byte> bytes(1500);
  for (const uint64_t at : {uint64_t{0}, uint64_t{5000}, inode.size() - std::min<uint64_t>(inode.size(), bytes.size())})
    if (file.read(at, bytes)) touch(bytes);
}

// What is left of a sound map must be one.
void cut(const FileSystem& fs, InodeNo ino, uint64_t keep) {
  Overlay overlay(*fs.image, fs.geometry.block_size);
  FileSystem staged = fs;
  staged.blocks = &overlay;
  auto raw = edit_inode(staged, overlay, ino);
  if (!raw || !cut_map(staged, overlay, ino, *raw, keep)) return;
  MapWalker walker(staged);
  RunList list;
  const Inode inode(staged.geometry, ino, *raw);
  if (!inode.has_block_map()) return;  // a short link has become one that lies in the inode
  const BlockMap& map = walker.walk(inode, list);
  require(without_defects(map), "a sound map after the cut");
  require(map.last_logical < static_cast<int64_t>(keep), "nothing behind the cut");
}

void fuzz(PatchedImage& subject) {
  auto loaded = load_superblock(subject.image(), nullptr, {});
  if (!loaded) return;
  FileSystem& fs = *loaded;
  const Overlay plain(subject.image(), fs.geometry.block_size);
  fs.blocks = &plain;
  load_descriptors(fs);
  std::vector<std::byte> raw(fs.geometry.inode_size);
  for (InodeNo ino(1); ino.value <= std::min(fs.geometry.inodes, kMostInodes); ++ino) {
    if (!read_inode(fs, ino, raw)) continue;
    const Inode inode(fs.geometry, ino, raw);
    if (inode.is_blank() || !inode.has_block_map()) continue;
    RunList list;
    walk(fs, inode, list);
    read(fs, inode);
    MapWalker walker(fs);
    RunList again;
    if (without_defects(walker.walk(inode, again)))
      for (const uint64_t keep : {uint64_t{0}, uint64_t{1}, uint64_t{13}, uint64_t{200}}) cut(fs, ino, keep);
  }
}

}  // namespace

}  // namespace extscrub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static extscrub::fuzz::PatchedImage subject("maps");
  if (subject.apply(data, size)) extscrub::fuzz::fuzz(subject);
  return 0;
}
