#include "audit/stage/inline_directory.h"

#include <algorithm>

#include "scan/attribute/xattr.h"
#include "scan/format/dir_block.h"

namespace extscrub {

namespace {

constexpr size_t kBlockArea = offsetof(ext2_inode, i_block);
constexpr size_t kBlockAreaSize = sizeof(ext2_inode::i_block);
constexpr size_t kParent = sizeof(uint32_t);

bool is_inline_data(const EaEntry& e) {
  return e.name_index == kSystemIndex && std::ranges::equal(e.name, std::as_bytes(std::span("data", 4)));
}

size_t offset_in(Bytes whole, Bytes part) { return static_cast<size_t>(part.data() - whole.data()); }

std::optional<EaEntry> find_inline_data(const Geometry& g, InodeNo ino, Bytes raw) {
  for (const EaEntry& e : inode_ea_entries(g, Inode(g, ino, raw)))
    if (is_inline_data(e) && e.value.data()) return e;
  return {};
}

}  // namespace

std::optional<InlineAreas> inline_areas(const Geometry& g, InodeNo ino, MutableBytes raw) {
  const auto data = find_inline_data(g, ino, raw);
  if (!data) return {};
  return InlineAreas{raw.subspan(kBlockArea + kParent, kBlockAreaSize - kParent),
                     raw.subspan(offset_in(raw, data->value), data->value.size())};
}

void mend_inline_size(const Geometry& g, InodeNo ino, MutableBytes raw) {
  const auto data = find_inline_data(g, ino, raw);
  if (!data) return;
  auto size = static_cast<uint32_t>(data->value.size() / 4 * 4);
  if (size < kShortestEntry) size = 0;
  const size_t entry = offset_in(raw, data->name) - sizeof(ext2_ext_attr_entry);
  store(raw, entry + offsetof(ext2_ext_attr_entry, e_value_size), size);
  store(raw, offsetof(ext2_inode, i_size), static_cast<uint32_t>(kBlockAreaSize + size));
}

void drop_value_hash(const Geometry& g, InodeNo ino, MutableBytes raw) {
  if (const auto data = find_inline_data(g, ino, raw))
    store(raw, offset_in(raw, data->name) - sizeof(ext2_ext_attr_entry) + offsetof(ext2_ext_attr_entry, e_hash), uint32_t{0});
}

void leave_inode(const Geometry& g, InodeNo ino, MutableBytes raw) {
  // The attributes that stay are stored anew: entries from the begin, values from the end.
  const std::vector<std::byte> before(raw.begin(), raw.end());
  const size_t begin = EXT2_GOOD_OLD_INODE_SIZE + size_t{load<uint16_t>(raw, offsetof(ext2_inode_large, i_extra_isize))};
  if (find_inline_data(g, ino, before)) {
    std::ranges::fill(raw.subspan(begin), std::byte{0});
    const size_t values_from = begin + sizeof(uint32_t);
    size_t at = values_from, value_at = raw.size();
    for (const EaEntry& e : inode_ea_entries(g, Inode(g, ino, before))) {
      if (is_inline_data(e)) continue;
      auto entry = load<ext2_ext_attr_entry>(before, offset_in(before, e.name) - sizeof(ext2_ext_attr_entry));
      if (!e.value_inode && e.value.data()) {
        value_at -= (e.value.size() + 3) / 4 * 4;
        if (!e.value.empty()) std::ranges::copy(e.value, raw.begin() + static_cast<std::ptrdiff_t>(value_at));
        entry.e_value_offs = static_cast<uint16_t>(value_at - values_from);
      }
      store(raw, at, entry);
      std::ranges::copy(e.name, raw.begin() + static_cast<std::ptrdiff_t>(at + sizeof entry));
      at += EXT2_EXT_ATTR_LEN(e.name.size());
    }
    if (at != values_from) store(raw, begin, uint32_t{EXT2_EXT_ATTR_MAGIC});
  }
  auto flags = load<uint32_t>(raw, offsetof(ext2_inode, i_flags)) & ~uint32_t{EXT4_INLINE_DATA_FL};
  std::ranges::fill(raw.subspan(kBlockArea, kBlockAreaSize), std::byte{0});
  if (g.extents()) {
    flags |= EXT4_EXTENTS_FL;
    ext3_extent_header header{};
    header.eh_magic = EXT3_EXT_MAGIC;
    header.eh_max = kBlockAreaSize / sizeof(ext3_extent) - 1;
    store(raw, kBlockArea, header);
  }
  store(raw, offsetof(ext2_inode, i_flags), flags);
}

}  // namespace extscrub
