// The extended attributes of one place, in the inode or in a block of their own, decoded and verified: bounds, overlaps,
// hashes, and the inodes that hold large values (ea_inode). Sources: fs/ext4/xattr.h, ext2_ext_attr.h.
// Stateless: any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scan/attribute/xattr.h"

namespace extscrub {

enum class EaDefectKind : uint8_t {
  name,          // e_name_len or e_name_index, or the list of entries runs over its space
  value_bounds,  // e_value_offs and e_value_size reach out of the space
  overlap,       // a value lies on the entries or on another value
  hash,          // e_hash
  value_inode,   // e_value_inum names no inode that can hold a value
  order,         // entries of a block are not sorted: the kernel's search stops too early
};

struct EaDefect {
  EaDefectKind kind{};
  std::optional<size_t> entry;  // in EaFacts::entries; none: the list ends there
  std::string attribute;        // "user.name", escaped by nobody
  std::string expected, found;
};

// A value in an inode of its own.
struct EaValueReference {
  InodeNo value;
  InodeNo owner;        // of a shared block: the first of its owners
  BlockNo block;        // the attribute block with the entry; 0: in the inode
  uint32_t size = 0;    // bytes, e_value_size
  bool lustre = false;  // the old form: the value inode names its owner, and keeps no hash
  auto operator<=>(const EaValueReference&) const = default;
};

struct EaFacts {
  std::vector<EaEntry> entries;  // those before the first that does not fit; their bytes are the caller's
  std::vector<EaDefect> defects;
  std::vector<EaValueReference> values;
  uint64_t charged_clusters = 0;  // counted in i_blocks for the values

  // The value of an attribute that lies beside its entry; empty when there is none.
  [[nodiscard]] const EaEntry* find(uint8_t name_index, std::string_view name) const;
};

// Whether the inode has room for attributes, and a header that says there are some.
[[nodiscard]] bool has_inode_attributes(const Geometry& geometry, const Inode& inode);

// Both clear `out` first. `owner`: the inode that refers to the block.
void check_inode_attributes(const FileSystem& fs, const Inode& inode, EaFacts& out);
void check_block_attributes(const FileSystem& fs, const Inode& owner, BlockNo at, Bytes block, EaFacts& out);

// h_hash over the entries' hashes; 0 when one of them has none.
[[nodiscard]] uint32_t ea_block_hash(const std::vector<EaEntry>& entries);

// e_hash over the name and the value, which is padded to 4 bytes; of a value in an inode, the value's own hash stands for
// it. It was computed with plain char for years, so that two hashes are valid: ea_entry_hash() gives the current one.
[[nodiscard]] uint32_t ea_entry_hash(Bytes name, Bytes value);
[[nodiscard]] bool is_ea_entry_hash(uint32_t hash, Bytes name, Bytes value);

// Before in the order that entries of a block have.
[[nodiscard]] bool ea_entry_before(uint8_t index_a, Bytes name_a, uint8_t index_b, Bytes name_b);

// "user.name" and its like; for an unknown index the number itself.
[[nodiscard]] std::string attribute_name(uint8_t name_index, Bytes name);

}  // namespace extscrub
