// Images in which every kind of pointer occurs, with files of root's, of user 1000's and of user 1001's; and the places of all
// their pointers, and of what a pointer gone wrong may name. One thread.
#pragma once

#include <functional>

#include "tests/support/test_image.h"
#include "tests/support/tree_snapshot.h"

namespace extscrub::test {

// A place in the image, as whoever sealed it would have done it.
using Seal = std::function<void(const TestImage&)>;

struct PointerField {
  enum class Kind : uint8_t { other, directory_map };
  std::string name;
  uint64_t at = 0;       // byte offset of its 32 bits
  uint32_t inode = 0;    // whose it is; 0: nobody's
  uint32_t uid = 0;      // who may read what it leads to
  Seal seal = {};        // empty: no checksum covers it
  std::string field = {};                   // of the superblock or a descriptor, as findings name it
  std::vector<uint32_t> involved = {};      // inodes besides, that may change
  Kind kind = Kind::other;
  bool redundant = false;  // what it says is told elsewhere too: nothing gets lost
};

struct PointerTarget {
  std::string name;
  uint32_t value = 0;
};

struct PointerImage {
  std::string name;
  TestImage image;
  TreeSnapshot before;
  std::map<uint64_t, BlockUse> uses;

  [[nodiscard]] uint32_t inode(const std::string& path) const { return before.files.at(path).inode; }
  // The physical block; `nth` of the nodes for a logical block below 0. 0 when there is none.
  [[nodiscard]] uint32_t block(uint32_t inode, int64_t logical, size_t nth = 0) const;
  [[nodiscard]] uint32_t free_block(uint32_t after) const;  // by the bitmaps
  [[nodiscard]] bool extents() const { return image.superblock().s_feature_incompat & EXT3_FEATURE_INCOMPAT_EXTENTS; }
};

inline constexpr uint32_t kUser = 1000, kOther = 1001;

// `options`: of mke2fs. The image is sound.
[[nodiscard]] PointerImage make_pointer_image(const std::string& name, const std::vector<std::string>& options,
                                              const std::string& size);

// Pointers in the maps of files, of the file system's own inodes and of directories, and i_file_acl.
[[nodiscard]] std::vector<PointerField> map_pointers(const PointerImage& image);
[[nodiscard]] std::vector<PointerField> directory_map_pointers(const PointerImage& image);
[[nodiscard]] std::vector<PointerField> own_map_pointers(const PointerImage& image);
// Numbers of inodes: entries, `..`, attributes with a value inode, the orphan list.
[[nodiscard]] std::vector<PointerField> inode_pointers(const PointerImage& image);
[[nodiscard]] std::vector<PointerField> descriptor_pointers(const PointerImage& image);
[[nodiscard]] std::vector<PointerField> superblock_block_pointers(const PointerImage& image);
[[nodiscard]] std::vector<PointerField> superblock_inode_pointers(const PointerImage& image);
[[nodiscard]] std::vector<PointerField> group_pointers(const PointerImage& image);
// Logical blocks in an index, and in a quota file.
[[nodiscard]] std::vector<PointerField> logical_pointers(const PointerImage& image);

[[nodiscard]] std::vector<PointerTarget> block_targets(const PointerImage& image, const PointerField& field);
[[nodiscard]] std::vector<PointerTarget> inode_targets(const PointerImage& image, const PointerField& field);
[[nodiscard]] std::vector<PointerTarget> logical_targets(const PointerImage& image, const PointerField& field);
[[nodiscard]] std::vector<PointerTarget> group_targets(const PointerImage& image, const PointerField& field);

}  // namespace extscrub::test
