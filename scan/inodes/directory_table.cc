#include "scan/inodes/directory_table.h"

#include <tbb/parallel_sort.h>

#include <algorithm>
#include <tuple>

#include "scan/attribute/ea_value.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/crc.h"

namespace extscrub {

namespace {

constexpr uint32_t kLongestRun = UINT16_MAX;
constexpr uint32_t kMostIndexedBlocks = 1u << 24;  // larger htrees do not exist, and their ranges would take too much memory

// fscrypt_context: its version says where the key's name ends; the nonce behind it is each file's own.
uint32_t policy_number(const FileSystem& fs, const Inode& inode) {
  const std::vector<std::byte> context = ea_value(fs, inode, kEncryptionIndex, "c");
  if (context.empty()) return 0;
  const auto version = std::to_integer<unsigned>(context[0]);
  constexpr size_t kNonce = 16;
  const size_t size = version == 1 ? 28 : version == 2 ? 40 : 0;
  if (size == 0 || context.size() != size) return 0;
  return crc32c(~0u, Bytes(context).first(size - kNonce)) | 1;
}

// More blocks of directories than that no sound image can have.
uint64_t most_blocks(const Geometry& g) { return 2 * g.blocks + 1024; }

// By physical block; `directory` has to be the inode still.
bool comes_before(const DirectoryRun& a, const DirectoryRun& b) {
  return std::tuple(a.physical, a.directory, a.logical, a.count) < std::tuple(b.physical, b.directory, b.logical, b.count);
}

// How many of the sorted runs have at most that many blocks together, which are added to `blocks`.
size_t runs_within(const std::vector<DirectoryRun>& runs, uint64_t most, uint64_t& blocks) {
  size_t keep = 0;
  for (; keep < runs.size() && blocks + runs[keep].count <= most; ++keep) blocks += runs[keep].count;
  return keep;
}

}  // namespace

bool DirectoryCollector::add_inode(const Inode& inode, GroupNo group, LinkTable& links) {
  const Geometry& g = fs_->geometry;
  const ext2_inode& base = inode.base();
  const FileType type = inode.type();
  links.add(group, inode.number() - g.group_first_inode(group), type, base.i_links_count, counted);
  const bool encrypted_file = g.has_incompat(EXT4_FEATURE_INCOMPAT_ENCRYPT) && inode.is(EXT4_ENCRYPT_FL);
  if (encrypted_file) encrypted.push_back({inode.number(), policy_number(*fs_, inode)});
  if (g.has_compat(EXT2_FEATURE_COMPAT_IMAGIC_INODES) && inode.is(EXT2_IMAGIC_FL)) exempt.push_back(inode.number());
  // A reserved inode that calls itself a directory is a finding of its own.
  const uint32_t n = inode.number().value;
  if (type != FileType::directory || (n < g.first_inode && n != EXT2_ROOT_INO)) return false;

  Directory& d = directories.emplace_back();
  d.inode = inode.number();
  d.generation = base.i_generation;
  d.links = base.i_links_count;
  const bool in_inode = g.has_incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA) && inode.is(EXT4_INLINE_DATA_FL);
  if (in_inode) d.flags |= Directory::in_inode;
  if (encrypted_file) d.flags |= Directory::encrypted;
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_CASEFOLD) && inode.is(EXT4_CASEFOLD_FL)) d.flags |= Directory::casefold;
  if (!in_inode && g.has_compat(EXT2_FEATURE_COMPAT_DIR_INDEX) && inode.is(EXT2_INDEX_FL)) d.flags |= Directory::indexed;
  next_logical_ = 0;
  holes_ = 0;
  if (in_inode) {
    runs.push_back({place_of(*fs_, inode.number()).block.value, 0, 0, d.inode.value});
  }
  return true;
}

void DirectoryCollector::add_run(InodeNo directory, const Run& run) {
  if (run.logical > UINT32_MAX - run.count) return;  // a defect of the map
  if (run.logical > next_logical_ && holes_++ < kMostHoles)
    holes.push_back({directory, static_cast<uint32_t>(next_logical_), static_cast<uint32_t>(run.logical - next_logical_)});
  next_logical_ = std::max<uint64_t>(next_logical_, run.logical + run.count);
  for (uint32_t at = 0; at < run.count; at += kLongestRun) {
    const uint32_t count = std::min(kLongestRun, run.count - at);
    runs.push_back({run.physical.value + at, count, static_cast<uint32_t>(run.logical + at), directory.value});
  }
  if (runs.size() > 2 * most_blocks(fs_->geometry)) drop_excess();
}

// Directories without number may have one map, so their runs have no bound in the size of the image. What no table will
// take goes early. The table takes the first runs of all, and these are among the first of each collector: so it does not
// matter which inodes came to which.
void DirectoryCollector::drop_excess() {
  std::ranges::sort(runs, comes_before);  // not in parallel: a thread that waits would take other inodes on
  uint64_t blocks = 0;
  const size_t keep = runs_within(runs, most_blocks(fs_->geometry), blocks);
  for (size_t i = keep; i < runs.size(); ++i) cut.insert(InodeNo(runs[i].directory));
  runs.resize(keep);
}

void DirectoryCollector::end_directory(const BlockMap* map) {
  Directory& d = directories.back();
  d.blocks = static_cast<uint32_t>(next_logical_);
  if (d.is(Directory::in_inode)) return;
  if (!map || !map->whole || d.blocks == 0) d.flags |= Directory::incomplete;
  if (d.blocks == 0 || d.blocks > kMostIndexedBlocks) d.flags &= static_cast<uint8_t>(~Directory::indexed);
  // What a damaged map leaves out is no hole.
  if (d.is(Directory::incomplete))
    while (!holes.empty() && holes.back().directory == d.inode) holes.pop_back();
}

void DirectoryTable::take(DirectoryCollector& c) {
  const auto append = [](auto& to, auto& from) {
    to.insert(to.end(), from.begin(), from.end());
    std::exchange(from, {});
  };
  append(directories, c.directories);
  append(runs, c.runs);
  append(holes, c.holes);
  append(encrypted, c.encrypted);
  append(exempt, c.exempt);
  cut.merge(c.cut);
}

void DirectoryTable::finish(const Geometry& g) {
  tbb::parallel_sort(directories.begin(), directories.end(),
                     [](const Directory& a, const Directory& b) { return a.inode < b.inode; });
  tbb::parallel_sort(runs.begin(), runs.end(), comes_before);
  std::ranges::sort(holes, {}, [](const DirectoryHole& h) { return std::pair(h.directory, h.logical); });
  std::ranges::sort(encrypted, {}, &EncryptedInode::inode);
  std::ranges::sort(exempt);

  const uint64_t most = most_blocks(g);
  const size_t keep = runs_within(runs, most, blocks);
  for (size_t i = keep; i < runs.size(); ++i) cut.insert(InodeNo(runs[i].directory));
  runs.resize(keep);
  for (DirectoryRun& run : runs) run.directory = find(InodeNo(run.directory));
  for (const InodeNo ino : cut) directories[find(ino)].flags |= Directory::incomplete;

  for (Directory& d : directories) {
    if (!d.is(Directory::indexed)) continue;
    if (indexed_blocks + d.blocks > std::min<uint64_t>(most, UINT32_MAX)) {
      d.flags = static_cast<uint8_t>((d.flags & ~Directory::indexed) | Directory::incomplete);
      continue;
    }
    d.first_range = static_cast<uint32_t>(indexed_blocks);
    indexed_blocks += d.blocks;
  }
}

uint32_t DirectoryTable::find(InodeNo ino) const {
  const auto it = std::ranges::lower_bound(directories, ino, {}, &Directory::inode);
  const bool found = it != directories.end() && it->inode == ino;
  return static_cast<uint32_t>(found ? it - directories.begin() : directories.size());
}

}  // namespace extscrub
