#include "tests/tables/file_tree.h"

#include <fmt/format.h>

#include <mutex>
#include <stdexcept>

#include "scan/directory/directory_scan.h"
#include "scan/format/crc.h"
#include "scan/inodes/xattr_block.h"
#include "scan/load/load_file_system.h"
#include "scan/map/file_reader.h"

namespace extscrub::test {

namespace {

void require(bool readable) {
  if (!readable) throw std::runtime_error("the files cannot be read");
}

struct Ignore final : InodeSink {
  void inode(const InodeFacts&) override {}
};

struct Name {
  uint32_t directory, inode;
  std::string name;
};

uint32_t crc_of_contents(const FileSystem& fs, const Inode& inode) {
  if (!inode.has_block_map() || inode.type() == FileType::directory) {
    return inode.type() == FileType::directory ? 0 : crc32c(~0u, inode.block_area());
  }
  if (inode.size() > 1 << 24) return 0;
  std::vector<std::byte> bytes(inode.size());
  return FileReader(fs, inode).read(0, bytes) ? crc32c(~0u, bytes) : 0;
}

// Of the entries and values behind the headers, so that what a repair may count or seal again is left out.
uint32_t crc_of_attributes(const FileSystem& fs, const Inode& inode) {
  uint32_t crc = ~0u;
  const size_t begin = EXT2_GOOD_OLD_INODE_SIZE + inode.large().i_extra_isize;
  if (inode.raw().size() > EXT2_GOOD_OLD_INODE_SIZE && begin < inode.raw().size()) crc = crc32c(crc, inode.raw().subspan(begin));
  if (const BlockNo block = inode.ea_block(); block.value != 0 && fs.geometry.contains(block)) {
    std::vector<std::byte> bytes(fs.geometry.block_size);
    if (fs.blocks->read(block, bytes)) crc = crc32c(crc, std::span(bytes).subspan(sizeof(ext2_ext_attr_header)));
  }
  return crc;
}

void add_paths(const std::multimap<uint32_t, Name>& names, uint32_t directory, const std::string& path, FileTree& tree,
               int depth = 0) {
  if (depth > 30) return;
  for (auto [it, end] = names.equal_range(directory); it != end; ++it) {
    const Name& name = it->second;
    if (name.name == "." || name.name == "..") continue;
    tree.paths[path + "/" + name.name] = name.inode;
    if (name.inode != EXT2_ROOT_INO) add_paths(names, name.inode, path + "/" + name.name, tree, depth + 1);
  }
}

bool is_below(std::string_view path, const std::vector<std::string_view>& own) {
  for (const std::string_view o : own)
    if (path == o || o == "/" || (path.starts_with(o) && path[o.size()] == '/')) return true;
  return false;
}

}  // namespace

FileTree tree_of(const Image& image, const Overlay* overlay) {
  auto fs = load_superblock(image, overlay, {});
  require(fs.has_value());
  const Overlay plain(image, fs->geometry.block_size);
  fs->blocks = overlay ? overlay : &plain;
  load_descriptors(*fs);
  lay_out_metadata(*fs);
  FileTree tree;
  std::mutex mutex;
  const auto take = [&](const Inode& inode) {
    const bool system = inode.number().value < EXT2_GOOD_OLD_FIRST_INO || inode.number().value == fs->super.s_orphan_file_inum;
    if (inode.base().i_links_count == 0 || (system && inode.number().value != EXT2_ROOT_INO)) return;
    const FileItem item{inode.base().i_mode,
                        inode.base().i_links_count,
                        inode.base().i_uid,
                        inode.base().i_gid,
                        inode.type() == FileType::directory ? 0 : inode.size(),  // an index made again may take another block
                        crc_of_contents(*fs, inode),
                        crc_of_attributes(*fs, inode)};
    const std::lock_guard lock(mutex);
    tree.inodes[inode.number().value] = item;
  };
  require(for_each_used_inode(*fs, nullptr, take).has_value());
  Ignore ignore;
  const auto scan = scan_inodes(*fs, ignore, nullptr);
  require(scan.has_value());
  std::multimap<uint32_t, Name> names;
  const auto take_name = [&](InodeNo directory, const DirEntry& entry) {
    const std::lock_guard lock(mutex);
    if (entry.inode.value) names.insert({directory.value, {directory.value, entry.inode.value, std::string(entry.name)}});
  };
  require(for_each_entry(*fs, scan->directories, nullptr, take_name).has_value());
  add_paths(names, EXT2_ROOT_INO, "", tree);
  return tree;
}

std::string difference(const FileTree& before, const FileTree& after, const std::vector<std::string_view>& own,
                       uint32_t own_inode) {
  std::string result;
  std::set<uint32_t> own_inodes = {own_inode};
  for (const std::string_view path : own) own_inodes.insert(path == "/" ? EXT2_ROOT_INO : before.paths.at(std::string(path)));
  for (const auto& [ino, item] : before.inodes) {
    if (own_inodes.contains(ino)) continue;
    const auto it = after.inodes.find(ino);
    if (it == after.inodes.end())
      result += fmt::format("inode {} is gone\n", ino);
    else if (FileItem now = it->second; now != item) {
      const bool is_directory = file_type(item.mode) == FileType::directory;
      // What is found again below lost+found is one more link of that, or of the directory it was in.
      if (is_directory && !own.empty()) now.links = item.links;
      if (now != item)
        result += fmt::format(
            "inode {}: mode {:o}, now {:o}; links {}, now {}; size {}, now {}; contents {:x}, now {:x}; attributes {:x}, now "
            "{:x}\n",
            ino, item.mode, now.mode, item.links, now.links, item.size, now.size, item.contents, now.contents, item.attributes,
            now.attributes);
    }
  }
  for (const auto& [path, ino] : before.paths) {
    if (is_below(path, own)) continue;
    const auto it = after.paths.find(path);
    if (it == after.paths.end())
      result += fmt::format("{} is gone\n", path);
    else if (it->second != ino)
      result += fmt::format("{} was inode {}, is {}\n", path, ino, it->second);
  }
  if (own.empty())
    for (const auto& [path, ino] : after.paths)
      if (!before.paths.contains(path)) result += fmt::format("{} is new\n", path);
  return result;
}

}  // namespace extscrub::test
