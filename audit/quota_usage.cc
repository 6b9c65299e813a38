// A quota file (vfsv1): blocks of 1 KiB; the tree's root is block 1, each of its four levels takes one byte of the id,
// highest first, and holds 256 block numbers; below lie blocks of entries. All little-endian.
#include "audit/quota_usage.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "scan/block_map.h"
#include "scan/inode_table.h"

namespace extscrub {

namespace {

constexpr size_t kBlockSize = 1024, kDataHeader = 16, kEntrySize = 72;
constexpr size_t kInodes = 24, kSpace = 48;  // dqb_curinodes, dqb_curspace; 64 bits each
constexpr uint32_t kRoot = 1;
constexpr std::array<uint32_t, 3> kMagic = {0xD9C01F11, 0xD9C01927, 0xD9C03F14};

class FileRuns : public RunSink {
 public:
  void data(const Run& run, bool) override {
    if (!run.unwritten) runs.push_back(run);
  }
  void node(BlockNo) override {}
  std::vector<Run> runs;
};

class QuotaFile {
 public:
  QuotaFile(const FileSystem& fs, Overlay& overlay, InodeNo ino) : overlay_(overlay), block_(overlay.block_size()) {
    std::vector<std::byte> raw(fs.geometry.inode_size);
    if (!fs.geometry.valid_inode(ino) || !read_inode(fs, ino, raw)) return;
    const Inode inode(fs.geometry, ino, raw);
    if (inode.type() != FileType::regular || !inode.has_block_map()) return;
    MapWalker(fs).walk(inode, file_);
  }

  [[nodiscard]] bool is(int type) {
    const auto at = place(0);
    return at && read(*at) && load<uint32_t>(bytes(*at)) == kMagic[static_cast<size_t>(type)] &&
           load<uint32_t>(bytes(*at), 4) == 1;
  }

  Result<void> subtract(uint32_t id, const QuotaRelease::Change& change) {
    uint32_t node = kRoot;
    for (int level = 3; level >= 0; --level) {
      const auto at = place(node);
      if (!at || !read(*at)) return {};
      node = load<uint32_t>(bytes(*at), (id >> (8 * level) & 0xFF) * sizeof(uint32_t));
      if (node == 0) return {};
    }
    const auto at = place(node);
    if (!at || !read(*at)) return {};
    for (size_t entry = kDataHeader; entry + kEntrySize <= kBlockSize; entry += kEntrySize) {
      if (load<uint32_t>(bytes(*at), entry) != id || is_unused(bytes(*at).subspan(entry, kEntrySize))) continue;
      auto block = overlay_.edit(at->block);
      if (!block) return std::unexpected(block.error());
      reduce(*block, at->offset + entry + kInodes, change.inodes);
      reduce(*block, at->offset + entry + kSpace, change.bytes);
      return {};
    }
    return {};
  }

 private:
  struct Place {
    BlockNo block;
    size_t offset = 0;  // bytes, in the block
  };

  [[nodiscard]] std::optional<Place> place(uint32_t quota_block) const {
    const uint64_t byte = uint64_t{quota_block} * kBlockSize;
    const uint64_t logical = byte / block_.size();
    for (const Run& run : file_.runs)
      if (logical >= run.logical && logical - run.logical < run.count)
        return Place{run.physical + (logical - run.logical), byte % block_.size()};
    return std::nullopt;
  }
  bool read(const Place& at) { return overlay_.read(at.block, block_).has_value(); }
  [[nodiscard]] Bytes bytes(const Place& at) const { return Bytes(block_).subspan(at.offset, kBlockSize); }

  static bool is_unused(Bytes entry) {
    return std::ranges::all_of(entry, [](std::byte b) { return b == std::byte{0}; });
  }
  static void reduce(MutableBytes block, size_t at, uint64_t by) {
    const auto value = load<uint64_t>(block, at);
    store(block, at, value - std::min(value, by));
  }

  Overlay& overlay_;
  std::vector<std::byte> block_;
  FileRuns file_;
};

}  // namespace

void QuotaRelease::subtract(const Inode& inode, uint64_t bytes, uint64_t inodes) {
  if (!geometry_.has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA)) return;
  const ext2_inode& base = inode.base();
  const auto charge = [&](int type, uint32_t id) {
    Change& change = changes_[{type, id}];
    change.bytes += bytes;
    change.inodes += inodes;
  };
  charge(0, inode_uid(base));
  charge(1, inode_gid(base));
  if (!geometry_.has_ro_compat(EXT4_FEATURE_RO_COMPAT_PROJECT)) return;
  const bool has_project = inode.has_extra(offsetof(ext2_inode_large, i_projid) + sizeof(uint32_t));
  charge(2, has_project ? inode.large().i_projid : 0);
}

Result<void> QuotaRelease::stage(const FileSystem& fs, Overlay& overlay) const {
  const std::array<uint32_t, 3> inodes = {fs.super.s_usr_quota_inum, fs.super.s_grp_quota_inum, fs.super.s_prj_quota_inum};
  for (int type = 0; type < 3; ++type) {
    const uint32_t ino = inodes[static_cast<size_t>(type)];
    if (ino == 0 || std::ranges::none_of(changes_, [=](const auto& c) { return c.first.first == type; })) continue;
    QuotaFile file(fs, overlay, InodeNo(ino));
    if (!file.is(type)) continue;
    for (const auto& [owner, change] : changes_)
      if (owner.first == type)
        if (auto r = file.subtract(owner.second, change); !r) return r;
  }
  return {};
}

}  // namespace extscrub
