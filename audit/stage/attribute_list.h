// The extended attributes of one place, taken apart so that some can be left out, and packed again.
// Plain values; for one thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "scan/attribute/xattr_check.h"

namespace extscrub {

struct Attribute {
  uint8_t name_index = 0;
  std::vector<std::byte> name;
  std::vector<std::byte> value;  // padded to 4 bytes; empty when it lies in an inode
  uint32_t value_size = 0;       // bytes
  InodeNo value_inode;
  uint32_t hash = 0;             // e_hash

  [[nodiscard]] std::string full_name() const { return attribute_name(name_index, name); }
};

struct BelievedAttributes {
  std::vector<Attribute> kept;
  std::vector<std::string> dropped;  // names
  bool cut = false;                  // the list was broken: what lay behind it is not known
};

// The attributes that passed their checks. `condemned`: values that cannot be used. `vouched`: a checksum says that names
// and values are as they were written, so that a wrong hash is computed anew instead.
[[nodiscard]] BelievedAttributes believed_attributes(const EaFacts& facts, const std::set<InodeNo>& condemned, bool vouched);

// In the order that the kernel expects in a block. Leaves out later ones of the same name; returns their names.
std::vector<std::string> sort_attributes(std::vector<Attribute>& attributes);

// Writes them into `space`: entries from `first` on, values from the end down; offsets count from `values_from`. What lies
// between is zeros. Returns how many fit, the first ones.
[[nodiscard]] size_t pack_attributes(MutableBytes space, size_t first, size_t values_from, std::span<const Attribute> attributes);

}  // namespace extscrub
