// The on-disk structures, as libext2fs declares them (ext2_fs.h and its like), and the views of bytes as them.
// ext4 is little-endian on disk and the library's structs are in host order, so this program is for little-endian hosts.
// Stateless: any thread.
#pragma once

#include <ext2fs/ext2_fs.h>  // which the others need

#include <ext2fs/ext2_ext_attr.h>
#include <ext2fs/ext3_extents.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace extscrub {

static_assert(std::endian::native == std::endian::little, "ext4 structures are read in host order");

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline constexpr uint64_t kSuperblockOffset = 1024;  // byte offset of the primary superblock, whatever the block size
inline constexpr size_t kSuperblockSize = 1024;
static_assert(sizeof(ext2_super_block) == kSuperblockSize);

// The bytes at `offset` as a T, copied. Asserts nothing about alignment; the caller has checked the bounds.
template <class T>
[[nodiscard]] T load(Bytes bytes, size_t offset = 0) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <class T>
void store(MutableBytes bytes, size_t offset, const T& value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

template <class T>
[[nodiscard]] Bytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

template <class T>
[[nodiscard]] MutableBytes mutable_bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

// Whether bit `at` of a bitmap is set; the caller has checked the bounds.
[[nodiscard]] inline bool test_bit(Bytes bitmap, uint64_t at) { return std::to_integer<unsigned>(bitmap[at / 8] >> at % 8) & 1; }

}  // namespace extscrub
