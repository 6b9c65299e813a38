#include "audit/run/block_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "scan/inodes/inode_scan.h"
#include "scan/load/load_file_system.h"

namespace extscrub {

namespace {

std::string name_of_metadata(const Geometry& g, const MetadataExtent& e, BlockNo block) {
  if (e.kind == MetadataKind::superblock && e.group.value == 0) return "primary superblock";
  if (e.kind != MetadataKind::inode_table) return fmt::format("{} of group {}", name(e.kind), e.group);
  const uint32_t per_block = g.block_size / g.inode_size;
  const InodeNo first = g.group_first_inode(e.group) + static_cast<uint32_t>(block - e.first) * per_block;
  const InodeNo last = std::min(first + (per_block - 1), g.group_first_inode(e.group) + (g.inodes_per_group - 1));
  return fmt::format("inode table of group {}, inodes {}-{}", e.group, first, last);
}

// Names those of the blocks that the inode in hand uses.
class Namer : public RunSink {
 public:
  Namer(const std::vector<StagedBlock>& staged, std::vector<std::string>& names, std::mutex& mutex)
      : staged_(staged), names_(names), mutex_(mutex) {}

  void data(const Run& run, bool) override {
    each(run.physical, run.count,
         [&](BlockNo b) { return fmt::format("logical block {} of inode {}", run.logical + (b - run.physical), inode); });
  }
  void node(BlockNo block) override {
    each(block, 1, [&](BlockNo) { return fmt::format("block map of inode {}", inode); });
  }
  void attributes(BlockNo block) {
    each(block, 1, [&](BlockNo) { return fmt::format("attributes of inode {}", inode); });
  }

  InodeNo inode;

 private:
  template <class Name>
  void each(BlockNo first, uint64_t count, Name&& name) {
    auto it = std::ranges::lower_bound(staged_, first, {}, &StagedBlock::block);
    for (; it != staged_.end() && it->block < first + count; ++it) {
      const std::lock_guard lock(mutex_);
      std::string& slot = names_[static_cast<size_t>(it - staged_.begin())];
      std::string text = name(it->block);
      // Of several owners always the same one, whichever thread comes first.
      if (slot.empty() || text < slot) slot = std::move(text);
    }
  }

  const std::vector<StagedBlock>& staged_;
  std::vector<std::string>& names_;
  std::mutex& mutex_;
};

}  // namespace

Result<std::vector<std::string>> name_blocks(const Overlay& overlay, const std::vector<StagedBlock>& staged,
                                             const AuditOptions& options) {
  auto fs = load_superblock(overlay.image(), &overlay, {options.superblock, options.block_size});
  if (!fs) return std::unexpected(fs.error());
  load_descriptors(*fs);
  std::vector<std::string> names(staged.size());
  std::mutex mutex;
  const auto each = [&](const Inode& inode) {
    MapWalker walker(*fs);
    Namer namer(staged, names, mutex);
    namer.inode = inode.number();
    if (inode.has_block_map() && inode.number().value != EXT2_RESIZE_INO) walker.walk(inode, namer);
    if (inode.ea_block()) namer.attributes(inode.ea_block());
  };
  if (auto r = for_each_used_inode(*fs, options.progress, each); !r) return std::unexpected(r.error());
  for (size_t i = 0; i < staged.size(); ++i) {
    if (const MetadataExtent* e = fs->metadata.find(staged[i].block))
      names[i] = name_of_metadata(fs->geometry, *e, staged[i].block);
    if (staged[i].block.value == kSuperblockOffset / overlay.block_size()) names[i] = "primary superblock";
    if (names[i].empty()) names[i] = "free block";
  }
  return names;
}

}  // namespace extscrub
