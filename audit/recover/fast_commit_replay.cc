// Records are absolute: an inode as it was, a range as it was mapped, a name that was there or not. So each can be applied
// more than once, and what blocks and inodes are in use afterwards is counted from the inodes touched, not kept along the
// way: at the begin their blocks are taken out of the bitmap, at the end those they have then are put in.
#include "audit/recover/fast_commit_replay.h"

#include <algorithm>
#include <map>
#include <set>

#include "audit/stage/overlay_io.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/jbd2_format.h"

namespace extscrub {

namespace {

constexpr size_t kMapArea = offsetof(ext2_inode, i_block), kBehindMap = offsetof(ext2_inode, i_generation);

struct Range {
  uint32_t inode = 0;
  uint32_t logical = 0;
  BlockNo physical;
  uint32_t count = 0;
  bool unwritten = false;
};

Range read_range(Bytes value) {
  const auto extent = load<ext3_extent>(value, sizeof(uint32_t));
  const Run run = run_of(extent);
  return {load<uint32_t>(value), extent.ee_block, run.physical, run.count, run.unwritten};
}

// libext2fs asks through a C function; the set lies behind priv_data.
struct Allocator {
  ext2fs_block_bitmap taken = nullptr;  // in use now, or at some time during the replay
  ~Allocator() {
    if (taken) ext2fs_free_block_bitmap(taken);
  }
};

errcode_t allocate(ext2_filsys fs, blk64_t goal, blk64_t* block) {
  auto* allocator = static_cast<Allocator*>(fs->priv_data);
  const blk64_t first = fs->super->s_first_data_block, last = ext2fs_blocks_count(fs->super) - 1;
  if (goal < first || goal > last) goal = first;
  if (ext2fs_find_first_zero_block_bitmap2(allocator->taken, goal, last, block) &&
      ext2fs_find_first_zero_block_bitmap2(allocator->taken, first, goal, block))
    return EXT2_ET_BLOCK_ALLOC_FAIL;
  ext2fs_mark_block_bitmap2(allocator->taken, *block);
  return 0;
}

class FastCommitReplay {
 public:
  FastCommitReplay(const FileSystem& stored, Journal& journal, ext2_filsys fs)
      : stored_(stored), journal_(journal), fs_(fs), walker_(stored) {}

  // Errors are libext2fs's; then nothing has been flushed.
  errcode_t run() {
    if (const errcode_t error = ext2fs_read_bitmaps(fs_)) return error;
    if (const errcode_t error = ext2fs_copy_bitmap(fs_->block_map, &allocator_.taken)) return error;
    fs_->priv_data = &allocator_;
    ext2fs_set_alloc_block_callback(fs_, allocate, nullptr);
    for (const FastCommitTag& tag : journal_.fast_commits) prepare(tag);
    for (const FastCommitTag& tag : journal_.fast_commits) {
      if (apply(tag) == 0)
        ++journal_.facts.fast_commit_tags;
      else
        defect(tag.tag);
    }
    return settle();
  }

 private:
  void defect(uint64_t found) {
    journal_.facts.defects.push_back(
        {JournalDefectKind::fast_commit_replay, journal_.super.fc_first, journal_.facts.last_sequence + 1, 0, found});
    journal_.facts.whole = false;
  }

  [[nodiscard]] bool valid(uint32_t ino) const {
    return ino == EXT2_ROOT_INO || (ino >= stored_.geometry.first_inode && ino <= stored_.geometry.inodes);
  }

  // The inode will change: remember what it uses now.
  void touch(uint32_t ino) {
    if (!valid(ino) || !touched_.insert(ino).second) return;
    for (const Run& run : blocks_of(ino)) before_.push_back(run);
  }

  std::vector<Run> blocks_of(uint32_t ino) {
    std::vector<std::byte> raw(stored_.geometry.inode_size);
    if (!read_inode(stored_, InodeNo(ino), raw)) return {};
    const Inode inode(stored_.geometry, InodeNo(ino), raw);
    RunList all;
    if (inode.type() != FileType::none && inode.has_block_map()) walker_.walk(inode, all);
    for (const BlockNo node : all.nodes) all.runs.push_back({0, node, 1, false});
    return std::move(all.runs);
  }

  // No block that any record names may be given to a tree or a directory.
  void prepare(const FastCommitTag& tag) {
    using namespace jbd2;
    if (tag.tag == kFcAddRange) {
      const Range r = read_range(tag.value);
      if (r.count > 0 && stored_.geometry.contains(r.physical, r.count)) {
        before_.push_back({r.logical, r.physical, r.count, false});
        ext2fs_mark_block_bitmap_range2(allocator_.taken, r.physical.value, r.count);
      }
    }
    touch(load<uint32_t>(tag.value));
  }

  errcode_t apply(const FastCommitTag& tag) {
    using namespace jbd2;
    if (!valid(load<uint32_t>(tag.value))) return EXT2_ET_BAD_INODE_NUM;
    switch (tag.tag) {
      case kFcInode: return replace_inode(tag.value);
      case kFcAddRange: return add_range(read_range(tag.value));
      case kFcDelRange:
        return remove_range(load<uint32_t>(tag.value), load<uint32_t>(tag.value, 4), load<uint32_t>(tag.value, 8));
      case kFcCreate:
      case kFcLink: return add_name(tag);
      case kFcUnlink: return remove_name(tag);
      default: return 0;
    }
  }

  // All but the block map, which the ranges bring, unless it holds data.
  errcode_t replace_inode(Bytes value) {
    const uint32_t ino = load<uint32_t>(value);
    const Bytes from = value.subspan(4);
    const size_t size = stored_.geometry.inode_size;
    std::vector<std::byte> raw(size);
    auto* inode = reinterpret_cast<ext2_inode*>(raw.data());
    if (const errcode_t error = ext2fs_read_inode_full(fs_, ino, inode, static_cast<int>(size));
        error && error != EXT2_ET_INODE_CSUM_INVALID)
      return error;
    std::memcpy(raw.data(), from.data(), kMapArea);
    const size_t end = std::min(from.size(), size);
    std::memcpy(raw.data() + kBehindMap, from.data() + kBehindMap, end - kBehindMap);
    const Inode view(stored_.geometry, InodeNo(ino), raw);
    if (inode->i_flags & EXT4_EXTENTS_FL) {
      if (load<uint16_t>(raw, kMapArea) != EXT3_EXT_MAGIC) {
        const ext3_extent_header header{EXT3_EXT_MAGIC, 0, 4, 0, 0};
        std::memcpy(raw.data() + kMapArea, &header, sizeof header);
      }
    } else if (!view.has_block_map()) {
      std::memcpy(raw.data() + kMapArea, from.data() + kMapArea, sizeof inode->i_block);
    }
    return ext2fs_write_inode_full(fs_, ino, inode, static_cast<int>(size));
  }

  errcode_t read_extent_inode(uint32_t ino, ext2_inode& inode) {
    if (const errcode_t error = ext2fs_read_inode(fs_, ino, &inode)) return error;
    return inode.i_flags & EXT4_EXTENTS_FL ? 0 : EXT2_ET_INODE_NOT_EXTENT;
  }

  errcode_t add_range(const Range& r) {
    if (r.count == 0 || !stored_.geometry.contains(r.physical, r.count) || uint64_t{r.logical} + r.count > UINT32_MAX)
      return EXT2_ET_EXTENT_INVALID_LENGTH;
    if (is_mapped_so(r)) return 0;
    if (const errcode_t error = remove_range(r.inode, r.logical, r.count)) return error;
    ext2_inode inode{};
    if (const errcode_t error = read_extent_inode(r.inode, inode)) return error;
    ext2_extent_handle_t handle = nullptr;
    if (const errcode_t error = ext2fs_extent_open2(fs_, r.inode, &inode, &handle)) return error;
    const errcode_t error = insert(handle, r);
    ext2fs_extent_free(handle);
    return error;
  }

  static errcode_t insert(ext2_extent_handle_t handle, const Range& r) {
    ext2fs_extent extent{};
    extent.e_lblk = r.logical;
    extent.e_pblk = r.physical.value;
    extent.e_len = r.count;
    extent.e_flags = r.unwritten ? EXT2_EXTENT_FLAGS_UNINIT : 0;
    // Where nothing is mapped the handle stands on the extent before, or, at the file's begin, on the first behind.
    int flags = EXT2_EXTENT_INSERT_AFTER;
    errcode_t error = ext2fs_extent_goto(handle, r.logical);
    if (error && error != EXT2_ET_EXTENT_NOT_FOUND) return error;
    ext2fs_extent here{};
    error = ext2fs_extent_get(handle, EXT2_EXTENT_CURRENT, &here);
    if (error && error != EXT2_ET_NO_CURRENT_NODE) return error;
    if (error || here.e_lblk > r.logical) flags = 0;
    if (const errcode_t failed = ext2fs_extent_insert(handle, flags, &extent)) return failed;
    return ext2fs_extent_fix_parents(handle);
  }

  bool is_mapped_so(const Range& r) {
    uint64_t same = 0;
    for (const Run& run : blocks_of(r.inode)) {
      const uint64_t first = std::max<uint64_t>(run.logical, r.logical);
      const uint64_t end = std::min<uint64_t>(run.logical + run.count, uint64_t{r.logical} + r.count);
      if (first < end && run.physical + (first - run.logical) == r.physical + (first - r.logical) && run.unwritten == r.unwritten)
        same += end - first;
    }
    return same == r.count;
  }

  errcode_t remove_range(uint32_t ino, uint32_t logical, uint32_t count) {
    if (count == 0 || uint64_t{logical} + count > UINT32_MAX) return EXT2_ET_EXTENT_INVALID_LENGTH;
    ext2_inode inode{};
    if (const errcode_t error = read_extent_inode(ino, inode)) return error;
    return ext2fs_punch(fs_, ino, &inode, nullptr, logical, uint64_t{logical} + count - 1);
  }

  struct Name {
    uint32_t parent, ino;
    std::string text;
  };

  static Name read_name(Bytes value) {
    return {load<uint32_t>(value), load<uint32_t>(value, 4),
            std::string(reinterpret_cast<const char*>(value.data()) + 8, value.size() - 8)};
  }

  static int entry_type(uint16_t mode) {
    switch (file_type(mode)) {
      case FileType::regular: return EXT2_FT_REG_FILE;
      case FileType::directory: return EXT2_FT_DIR;
      case FileType::character: return EXT2_FT_CHRDEV;
      case FileType::block: return EXT2_FT_BLKDEV;
      case FileType::fifo: return EXT2_FT_FIFO;
      case FileType::socket: return EXT2_FT_SOCK;
      case FileType::symlink: return EXT2_FT_SYMLINK;
      default: return EXT2_FT_UNKNOWN;
    }
  }

  errcode_t add_name(const FastCommitTag& tag) {
    const Name name = read_name(tag.value);
    if (!valid(name.ino)) return EXT2_ET_BAD_INODE_NUM;
    touch(name.ino);
    ext2_inode inode{};
    if (const errcode_t error = ext2fs_read_inode(fs_, name.ino, &inode)) return error;
    if (const errcode_t error = ext2fs_check_directory(fs_, name.parent)) return error;
    ext2_ino_t there = 0;
    const auto length = static_cast<int>(name.text.size());
    if (ext2fs_lookup(fs_, name.parent, name.text.data(), length, nullptr, &there) == 0) return 0;
    const int type = entry_type(inode.i_mode);
    if (tag.tag == jbd2::kFcCreate && type == EXT2_FT_DIR)
      if (const errcode_t error = start_directory(name.ino, name.parent, inode)) return error;
    const bool typed = stored_.geometry.has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE);
    errcode_t error = ext2fs_link(fs_, name.parent, name.text.c_str(), name.ino, typed ? type : 0);
    if (error == EXT2_ET_DIR_NO_SPACE) {
      if ((error = ext2fs_expand_dir(fs_, name.parent))) return error;
      error = ext2fs_link(fs_, name.parent, name.text.c_str(), name.ino, typed ? type : 0);
    }
    return error;
  }

  // The first block of a directory that was created: `.` and `..`.
  errcode_t start_directory(uint32_t ino, uint32_t parent, ext2_inode& inode) {
    if (inode.i_flags & EXT4_INLINE_DATA_FL) return 0;
    blk64_t block = 0;
    if (const errcode_t error = ext2fs_bmap2(fs_, ino, &inode, nullptr, 0, 0, nullptr, &block)) return error;
    if (block == 0) {
      if (const errcode_t error = ext2fs_bmap2(fs_, ino, &inode, nullptr, BMAP_ALLOC, 0, nullptr, &block)) return error;
      inode.i_size = fs_->blocksize;
      if (const errcode_t error = ext2fs_write_inode(fs_, ino, &inode)) return error;
    }
    char* buffer = nullptr;
    if (const errcode_t error = ext2fs_new_dir_block(fs_, ino, parent, &buffer)) return error;
    const errcode_t error = ext2fs_write_dir_block4(fs_, block, buffer, 0, ino);
    ext2fs_free_mem(&buffer);
    return error;
  }

  errcode_t remove_name(const FastCommitTag& tag) {
    const Name name = read_name(tag.value);
    if (const errcode_t error = ext2fs_check_directory(fs_, name.parent)) return error;
    touch(name.ino);
    const errcode_t error = ext2fs_unlink(fs_, name.parent, name.text.c_str(), name.ino, 0);
    return error == EXT2_ET_DIR_NO_SPACE ? 0 : error;  // it was not there
  }

  void set_block(uint64_t block, bool used) {
    if (!!ext2fs_test_block_bitmap2(fs_->block_map, block) != used) ext2fs_block_alloc_stats2(fs_, block, used ? 1 : -1);
  }

  void set_blocks(const std::vector<Run>& runs, bool used) {
    const uint64_t step = uint64_t{1} << stored_.geometry.cluster_bits;
    for (const Run& run : runs)
      for (uint64_t b = run.physical.value & ~(step - 1); b < run.physical.value + run.count; b += step)
        if (b >= stored_.geometry.first_data_block) set_block(b, used);
  }

  // Bitmaps, counts and i_blocks by what the touched inodes use now.
  errcode_t settle() {
    set_blocks(before_, false);
    for (const uint32_t ino : touched_) {
      ext2_inode inode{};
      if (const errcode_t error = ext2fs_read_inode(fs_, ino, &inode)) return error;
      const bool used = inode.i_links_count > 0;
      const bool directory = file_type(inode.i_mode) == FileType::directory;
      if (!!ext2fs_test_inode_bitmap2(fs_->inode_map, ino) != used)
        ext2fs_inode_alloc_stats2(fs_, ino, used ? 1 : -1, directory ? 1 : 0);
      if (!used) continue;
      set_blocks(blocks_of(ino), true);
      if (const BlockNo ea(ext2fs_file_acl_block(fs_, &inode)); ea && stored_.geometry.contains(ea)) set_block(ea.value, true);
      if (const errcode_t error = count_blocks(ino, inode)) return error;
    }
    return 0;
  }

  errcode_t count_blocks(uint32_t ino, ext2_inode& inode) {
    std::vector<std::byte> raw(stored_.geometry.inode_size);
    if (!read_inode(stored_, InodeNo(ino), raw)) return 0;
    const Inode view(stored_.geometry, InodeNo(ino), raw);
    if (!view.has_block_map()) return 0;
    RunList all;
    const uint64_t clusters = walker_.walk(view, all).clusters + (view.ea_block() ? 1 : 0);
    const uint64_t blocks = clusters << stored_.geometry.cluster_bits;
    inode.i_blocks = 0;
    inode.osd2.linux2.l_i_blocks_hi = 0;
    if (const errcode_t error = ext2fs_iblk_set(fs_, &inode, blocks)) return error;
    return ext2fs_write_inode(fs_, ino, &inode);
  }

  const FileSystem& stored_;
  Journal& journal_;
  ext2_filsys fs_;
  MapWalker walker_;
  Allocator allocator_;
  std::set<uint32_t> touched_;
  std::vector<Run> before_;  // blocks that touched inodes used, or that a record gives to one
};

}  // namespace

Result<void> replay_fast_commits(const FileSystem& fs, Journal& journal, Overlay& overlay) {
  if (journal.fast_commits.empty()) return {};
  const auto refuse = [&] {
    journal.facts.defects.push_back({JournalDefectKind::fast_commit_replay, journal.super.fc_first,
                                     journal.facts.last_sequence + 1, journal.fast_commits.size(), 0});
    journal.facts.whole = false;
  };
  // A flush seals descriptors: it must not hide that one is damaged.
  if (!std::ranges::all_of(fs.groups, [](const GroupDesc& d) { return d.readable && d.checksum_ok; })) {
    refuse();
    return {};
  }
  auto library = open_library(overlay, std::max(fs.super.s_wtime, uint32_t{1}));
  if (!library) {
    refuse();
    return {};
  }
  FastCommitReplay replay(fs, journal, library->get());
  if (replay.run() != 0) {
    refuse();
    return {};
  }
  if (auto r = flush_library(library->get()); !r) refuse();
  return {};
}

}  // namespace extscrub
