#include "tests/tables/images.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <filesystem>
#include <fstream>

#include "scan/format/checksum.h"
#include "scan/format/crc.h"
#include "scan/format/superblock.h"

namespace extscrub::test {

namespace {

void put_file(const std::filesystem::path& path, size_t size, char fill, size_t every = 0) {
  std::ofstream file(path, std::ios::binary);
  if (every == 0) {
    file << std::string(size, fill);
    return;
  }
  for (size_t at = 0; at < size; at += every) {
    file.seekp(static_cast<std::streamoff>(at));
    file << std::string(1024, fill);
  }
}

void make_small_tree(const std::filesystem::path& root) {
  std::filesystem::create_directories(root / "dir/sub");
  std::filesystem::create_directories(root / "many");
  put_file(root / "plain", 5000, 'p');
  put_file(root / "two", 2000, '2');
  put_file(root / "three", 3000, '3');
  put_file(root / "pieces", 40 * 1024, 'x', 4096);
  for (const char* name : {"dir/a", "dir/bb", "dir/ccc", "dir/sub/deep"}) put_file(root / name, 1500, name[4]);
  for (int i = 0; i < 40; ++i) put_file(root / fmt::format("many/{:-<50}{}", "name", i), 0, ' ');
  std::filesystem::create_symlink("plain", root / "link");
  std::filesystem::create_symlink(std::string(200, 'l'), root / "longlink");
  if (mkfifo((root / "pipe").c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
}

const std::vector<std::string> kSmall = {"-b", "1024", "-g", "1024",         "-J", "size=1",
                                         "-N", "160",  "-E", "resize=65536", "-L", "fields"};

}  // namespace

std::vector<std::string> with_small_options(std::vector<std::string> options) {
  options.insert(options.end(), kSmall.begin(), kSmall.end());
  return options;
}

TestImage make_small_image(const std::vector<std::string>& mke2fs_options, const std::vector<std::string>& requests) {
  const TempDir tree;
  std::filesystem::create_directory(tree.path() / "tree");
  make_small_tree(tree.path() / "tree");
  TestImage image(mke2fs_options, "4M", tree.path() / "tree");
  std::ofstream value(tree.path() / "value"), other(tree.path() / "other");
  for (int i = 100; i < 200; ++i) value << i;
  for (int i = 300; i < 366; ++i) other << i;
  value.close();
  other.close();
  image.debugfs("mknod device c 7 9");
  image.debugfs("ea_set /plain user.short value");
  image.debugfs(fmt::format("ea_set -f {} /two user.long", (tree.path() / "value").native()));
  image.debugfs(fmt::format("ea_set -f {} /two user.more", (tree.path() / "other").native()));
  for (const std::string& request : requests) image.debugfs(request);
  if (run({"e2fsck", "-fyD", image.path()}).status > 1) throw std::runtime_error("cannot make an image for the fields");
  return image;
}

const TestImage& small_ext4() {
  static const TestImage image = make_small_image(with_small_options({"-t", "ext4"}));
  return image;
}
const TestImage& small_ext4_32() {
  static const TestImage image = make_small_image(with_small_options({"-t", "ext4", "-O", "^metadata_csum,uninit_bg,^64bit"}));
  return image;
}
const TestImage& small_plain() {
  static const TestImage image = make_small_image(with_small_options({"-t", "ext4", "-O", "^metadata_csum,^uninit_bg"}));
  return image;
}
const TestImage& small_ext3() {
  static const TestImage image = make_small_image(with_small_options({"-t", "ext3"}));
  return image;
}

Spot inode_spot(const TestImage& image, const std::string& path) {
  const uint32_t inode = image.inode_of(path);
  return {image.inode_offset(inode), inode};
}

Spot block_spot(const TestImage& image, const std::string& path, uint64_t logical) {
  return {image.offset(image.block_of(path, logical)), image.inode_of(path)};
}

void seal_superblock(const SealedSpot& at) {
  at.image.patch<ext2_super_block>(kSuperblockOffset,
                                   [](ext2_super_block& super) { super.s_checksum = extscrub::superblock_checksum(super); });
}

void seal_spot_inode(const SealedSpot& at) {
  if (!at.geometry.metadata_csum()) return;
  std::vector<std::byte> raw(at.geometry.inode_size);
  at.image.read(at.image.inode_offset(at.spot.inode), raw);
  seal_inode(at.geometry, InodeNo(at.spot.inode), raw);
  at.image.write(at.image.inode_offset(at.spot.inode), raw);
}

uint32_t seed_of_owner(const SealedSpot& at) {
  const auto generation = at.image.peek<uint32_t>(at.image.inode_offset(at.spot.inode) + offsetof(ext2_inode, i_generation));
  return inode_seed(at.geometry, InodeNo(at.spot.inode), generation);
}

// Of the root or a node: up to its last entry, and the tail.
static void seal_index(const SealedSpot& at, size_t entries) {
  const uint32_t size = at.geometry.block_size;
  std::vector<std::byte> block(size);
  at.image.read(at.spot.at, block);
  const size_t end = entries + load<uint16_t>(block, entries + 2) * sizeof(ext2_dx_entry);
  if (end > size - 8) return;
  store(block, size - 4, uint32_t{0});
  const Bytes bytes(block);
  at.image.poke(at.spot.at + size - 4, crc32c(crc32c(seed_of_owner(at), bytes.first(end)), bytes.last(8)));
}

void seal_index_root(const SealedSpot& at) { seal_index(at, 32); }
void seal_index_node(const SealedSpot& at) { seal_index(at, 8); }

}  // namespace extscrub::test
