#include "tests/support/tree_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "scan/format/ext2fs.h"

namespace extscrub::test {

namespace {

constexpr std::string_view kMark = "<<of user ";
constexpr uint32_t kMayBeReadByOthers = 0044;

using Filsys = std::unique_ptr<struct_ext2_filsys, decltype([](ext2_filsys fs) { ext2fs_close_free(&fs); })>;

Filsys open_image(const std::filesystem::path& path, std::string& error) {
  ext2_filsys fs = nullptr;
  const errcode_t e =
      ext2fs_open(path.c_str(), EXT2_FLAG_64BITS | EXT2_FLAG_IGNORE_CSUM_ERRORS | EXT2_FLAG_THREADS, 0, 0, unix_io_manager, &fs);
  if (e) error = fmt::format("cannot open: {}", e);
  return Filsys(e ? nullptr : fs);
}

class Reader {
 public:
  Reader(ext2_filsys fs, TreeSnapshot& out, const std::map<size_t, uint32_t>& kept)
      : fs_(fs), out_(out), kept_(kept), block_(fs->blocksize, '\0') {}

  void visit(uint32_t ino, const std::string& path) {
    ext2_inode inode{};
    if (ext2fs_read_inode(fs_, ino, &inode)) return fail(path, "inode cannot be read");
    FileState state;
    state.inode = ino;
    state.uid = inode_uid(inode);
    state.mode = inode.i_mode;
    state.links = inode.i_links_count;
    const bool directory = LINUX_S_ISDIR(inode.i_mode);
    if (!directory) state.size = EXT2_I_SIZE(&inode);
    path_ = path;
    state_ = &state;
    if (LINUX_S_ISLNK(inode.i_mode) && ext2fs_is_fast_symlink(&inode)) {
      state.target.assign(reinterpret_cast<const char*>(inode.i_block), inode.i_size);
      check_text(state.target, "target");
    } else if (LINUX_S_ISREG(inode.i_mode) || LINUX_S_ISLNK(inode.i_mode)) {
      read_blocks(ino, inode);
    }
    read_attributes(ino);
    if (!out_.files.emplace(path.empty() ? "/" : path, state).second) return fail(path, "a name is there twice");
    if (directory) go_down(ino, path);
  }

 private:
  void fail(const std::string& path, const char* what) {
    if (out_.error.empty()) out_.error = fmt::format("{}: {}", path, what);
  }
  void leak(const std::string& what) {
    out_.leaks.push_back(fmt::format("{} (inode {}, of user {}): {}", path_, state_->inode, state_->uid, what));
  }

  [[nodiscard]] bool may_see(uint32_t whose) const {
    return whose == state_->uid || (state_->uid == 0 && !(state_->mode & kMayBeReadByOthers));
  }

  // Where the text has somebody's mark, it is seen by nobody else.
  void check_text(std::string_view text, const char* what) {
    for (size_t at = text.find(kMark); at != text.npos; at = text.find(kMark, at + 1)) {
      const auto whose =
          static_cast<uint32_t>(std::strtoul(std::string(text.substr(at + kMark.size(), 10)).c_str(), nullptr, 10));
      if (!may_see(whose)) return leak(fmt::format("a {} of user {}", what, whose));
    }
  }

  void read_blocks(uint32_t ino, ext2_inode& inode) {
    const auto each = [](ext2_filsys, blk64_t* block, e2_blkcnt_t logical, blk64_t, int, void* self) -> int {
      static_cast<Reader*>(self)->read_block(*block, static_cast<uint64_t>(logical));
      return 0;
    };
    if (inode.i_flags & EXT4_INLINE_DATA_FL) return;
    const int flags = BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY;
    if (const errcode_t e = ext2fs_block_iterate3(fs_, ino, flags, nullptr, each, this); e && e != EXT2_ET_INODE_CORRUPTED)
      fail(path_, "map cannot be read");
  }

  void read_block(uint64_t block, uint64_t logical) {
    if (block >= ext2fs_blocks_count(fs_->super) || io_channel_read_blk64(fs_->io, block, 1, block_.data())) {
      state_->blocks[logical] = kUnreadable;
      return fail(path_, "block cannot be read");
    }
    if (std::ranges::all_of(block_, [](char c) { return c == 0; })) return;
    const size_t hash = hash_of(block_.data(), block_.size());
    state_->blocks[logical] = hash;
    check_text(block_, "block");
    if (const auto kept = kept_.find(hash); kept != kept_.end() && !may_see(kept->second))
      leak(fmt::format("block {} is another's", logical));
  }

  void read_attributes(uint32_t ino) {
    ext2_xattr_handle* handle = nullptr;
    if (ext2fs_xattrs_open(fs_, ino, &handle)) return;
    const auto each = [](char* name, char* value, size_t length, void* self) -> int {
      auto& reader = *static_cast<Reader*>(self);
      reader.state_->attributes += fmt::format("{}={}\n", name, hash_of(value, length));
      reader.check_text({value, length}, "attribute");
      return 0;
    };
    if (ext2fs_xattrs_read(handle) || ext2fs_xattrs_iterate(handle, each, this)) fail(path_, "attributes cannot be read");
    ext2fs_xattrs_close(&handle);
  }

  void go_down(uint32_t ino, const std::string& path) {
    if (!on_the_way_.insert(ino).second) return fail(path, "a directory below itself");
    std::vector<std::pair<std::string, uint32_t>> entries;
    const auto each = [](ext2_ino_t, int entry, ext2_dir_entry* e, int, int, char*, void* list) -> int {
      if (entry == DIRENT_OTHER_FILE)
        static_cast<decltype(entries)*>(list)->emplace_back(std::string(e->name, static_cast<size_t>(ext2fs_dirent_name_len(e))),
                                                            e->inode);
      return 0;
    };
    if (ext2fs_dir_iterate2(fs_, ino, 0, nullptr, each, &entries)) fail(path, "entries cannot be read");
    for (const auto& entry : entries) check_text(entry.first, "name");
    for (const auto& [name, child] : entries) visit(child, path + "/" + name);
    on_the_way_.erase(ino);
  }

  ext2_filsys fs_;
  TreeSnapshot& out_;
  const std::map<size_t, uint32_t>& kept_;
  std::string block_, path_;
  FileState* state_ = nullptr;
  std::set<uint32_t> on_the_way_;
};

}  // namespace

std::string mark_of(uint32_t uid) { return fmt::format("{}{}>> ", kMark, uid); }

size_t hash_of(const char* bytes, size_t length) { return std::hash<std::string_view>()({bytes, length}); }

std::map<std::string, FileState>::const_iterator TreeSnapshot::of(uint32_t inode) const {
  return std::ranges::find_if(files, [=](const auto& f) { return f.second.inode == inode; });
}

TreeSnapshot take_snapshot(const std::filesystem::path& image, const std::map<size_t, uint32_t>& kept_from_others) {
  TreeSnapshot snapshot;
  if (const Filsys fs = open_image(image, snapshot.error)) Reader(fs.get(), snapshot, kept_from_others).visit(EXT2_ROOT_INO, "");
  return snapshot;
}

std::map<uint64_t, BlockUse> uses_of_blocks(const std::filesystem::path& image) {
  std::map<uint64_t, BlockUse> owners;
  std::string error;
  const Filsys fs = open_image(image, error);
  if (!fs) return owners;
  struct Mine {
    std::map<uint64_t, BlockUse>& owners;
    uint32_t ino;
  };
  const auto each = [](ext2_filsys, blk64_t* block, e2_blkcnt_t logical, blk64_t, int, void* mine) -> int {
    static_cast<Mine*>(mine)->owners.emplace(*block, BlockUse{static_cast<Mine*>(mine)->ino, logical});
    return 0;
  };
  for (uint32_t ino = 1; ino <= fs->super->s_inodes_count; ++ino) {
    ext2_inode inode{};
    if (ino == EXT2_RESIZE_INO || ext2fs_read_inode(fs.get(), ino, &inode) || inode.i_mode == 0) continue;
    if (const uint64_t block = ext2fs_file_acl_block(fs.get(), &inode)) owners.emplace(block, BlockUse{ino, kAttributes});
    if (!ext2fs_inode_has_valid_blocks2(fs.get(), &inode) || inode.i_flags & EXT4_INLINE_DATA_FL) continue;
    Mine mine{owners, ino};
    ext2fs_block_iterate3(fs.get(), ino, BLOCK_FLAG_READ_ONLY, nullptr, each, &mine);
  }
  return owners;
}

}  // namespace extscrub::test
