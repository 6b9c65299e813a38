#include "audit/stage/directory_names.h"

#include <algorithm>

namespace extscrub {

namespace {

void put_header(MutableBytes area, uint32_t at, InodeNo inode, uint32_t rec_len, size_t name_length, uint8_t type,
                uint32_t block_size) {
  store(area, at, inode.value);
  store(area, at + 4, encode_rec_len(rec_len, block_size));
  store(area, at + 6, static_cast<uint8_t>(name_length));
  store(area, at + 7, type);
}

}  // namespace

void put_names(const EntryForm& form, std::span<const DirName* const> names, MutableBytes area) {
  if (area.empty()) return;
  std::ranges::fill(area, std::byte{0});
  const auto size = static_cast<uint32_t>(area.size());
  if (names.empty()) return put_header(area, 0, InodeNo(), size, 0, 0, form.block_size);
  uint32_t at = 0;
  for (const DirName* n : names) {
    const uint32_t length = n == names.back() ? size - at : form.size_of(*n);
    put_header(area, at, n->inode, length, n->name.size(), n->type, form.block_size);
    std::ranges::copy(std::as_bytes(std::span(n->name)), area.begin() + at + kEntryHeader);
    if (form.with_hash) store(area, at + entry_size(n->name.size()), n->hash);
    at += length;
  }
}

void put_leaf(const EntryForm& form, bool first, std::span<const DirName* const> names, MutableBytes block) {
  MutableBytes area = block.first(form.room());
  if (first) {
    const uint8_t type = form.with_type ? EXT2_FT_DIR : 0;
    const auto rest = static_cast<uint32_t>(area.size()) - kShortestEntry;
    std::ranges::fill(area.first(EntryForm::dots()), std::byte{0});
    put_header(area, 0, form.self, kShortestEntry, 1, type, form.block_size);
    put_header(area, kShortestEntry, form.parent, names.empty() ? rest : kShortestEntry, 2, type, form.block_size);
    area[kEntryHeader] = area[kShortestEntry + kEntryHeader] = area[kShortestEntry + kEntryHeader + 1] = std::byte{'.'};
    area = area.subspan(EntryForm::dots());
    if (names.empty())
      std::ranges::fill(area, std::byte{0});
    else
      put_names(form, names, area);
  } else {
    put_names(form, names, area);
  }
  if (form.with_checksum) seal_leaf(form.seed, block);
}

size_t names_that_fit(const EntryForm& form, uint32_t room, std::span<const DirName* const> names) {
  size_t count = 0;
  for (uint32_t used = 0; count < names.size(); ++count) {
    used += form.size_of(*names[count]);
    if (used > room) break;
  }
  return count;
}

}  // namespace extscrub
