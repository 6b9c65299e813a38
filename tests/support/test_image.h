// Images for the tests: sound ones of every shape in feature_sets.txt, made once a process and copied, and the means to
// spoil and to judge them that do not go through extscrub (debugfs, e2fsck, bytes at computed places).
// Belongs to one thread; throws when a helper program fails, which fails the test.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scan/format/ondisk.h"
#include "tests/support/process.h"

namespace extscrub::test {

// The names in feature_sets.txt.
[[nodiscard]] const std::vector<std::string>& feature_sets();

class TestImage {
 public:
  // A copy of the sound image of that feature set, with the tree of make_tree.py.
  explicit TestImage(std::string_view feature_set);

  // An image of `size` ("4M") made by mke2fs with these options, holding `tree` when that is not empty.
  TestImage(const std::vector<std::string>& mke2fs_options, std::string_view size, const std::filesystem::path& tree = {});

  [[nodiscard]] TestImage copy() const;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] uint64_t size() const { return std::filesystem::file_size(path_); }

  // Runs one request with write access and gives what debugfs says, without its banner. debugfs keeps checksums right.
  // With `ignore_checksums` it opens an image whose checksums are wrong already.
  std::string debugfs(const std::string& request, bool ignore_checksums = false) const;

  // The exit status of e2fsck -fn: 0 sound, 4 damaged.
  [[nodiscard]] int e2fsck() const;
  [[nodiscard]] Outcome e2fsck_report() const;
  [[nodiscard]] std::string dumpe2fs(const std::string& options = "-h") const;

  // A hash of the contents, the same whether zeros are stored or holes.
  [[nodiscard]] uint64_t fingerprint() const;

  // Bytes, at an offset in the image. Poking leaves all checksums as they are.
  void read(uint64_t at, MutableBytes out) const;
  void write(uint64_t at, Bytes bytes) const;
  template <class T>
  [[nodiscard]] T peek(uint64_t at) const {
    T value;
    read(at, mutable_bytes_of(value));
    return value;
  }
  template <class T>
  void poke(uint64_t at, const T& value) const {
    write(at, bytes_of(value));
  }
  // Reads a T, lets `change` work on it, and writes it back.
  template <class T>
  void patch(uint64_t at, const std::function<void(T&)>& change) const {
    T value = peek<T>(at);
    change(value);
    poke(at, value);
  }
  void fill(uint64_t at, uint64_t length, std::byte value) const;

  // Where things are, by the superblock and the descriptors as they are now. Not for meta_bg.
  [[nodiscard]] ext2_super_block superblock() const { return peek<ext2_super_block>(kSuperblockOffset); }
  [[nodiscard]] uint32_t block_size() const { return 1024u << superblock().s_log_block_size; }
  [[nodiscard]] uint64_t offset(uint64_t block) const { return block * block_size(); }
  [[nodiscard]] uint64_t descriptor_offset(uint32_t group) const;
  [[nodiscard]] ext4_group_desc descriptor(uint32_t group) const;
  [[nodiscard]] uint64_t block_bitmap(uint32_t group) const;  // block number
  [[nodiscard]] uint64_t inode_bitmap(uint32_t group) const;  // block number
  [[nodiscard]] uint64_t inode_offset(uint32_t inode) const;
  [[nodiscard]] uint64_t map_offset(uint32_t inode) const;  // of i_block

  [[nodiscard]] uint32_t inode_of(const std::string& path) const;                        // by debugfs
  [[nodiscard]] uint64_t block_of(const std::string& path, uint64_t logical = 0) const;  // by debugfs

 private:
  TestImage() = default;

  std::shared_ptr<TempDir> directory_;
  std::filesystem::path path_;
};

// Sets one field of an inode, by its bytes: poke_inode(image, ino, &ext2_inode_large::i_uid, 7).
template <class T, class V>
void poke_inode(const TestImage& image, uint32_t inode, T ext2_inode_large::* field, V value) {
  ext2_inode_large probe{};
  const auto at = reinterpret_cast<const std::byte*>(&(probe.*field)) - reinterpret_cast<const std::byte*>(&probe);
  image.poke(image.inode_offset(inode) + at, static_cast<T>(value));
}

}  // namespace extscrub::test
