#include "scan/format/block_likeness.h"

#include <algorithm>
#include <bit>
#include <set>

#include "scan/format/dir_block.h"

namespace extscrub {

bool are_alike(Bytes a, Bytes b) {
  size_t stored = 0, same = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    if (b[i] == std::byte{0}) continue;
    ++stored;
    same += a[i] == b[i];
  }
  return same > stored / 2;
}

Likeness compare_versions(Bytes place, Bytes first, Bytes fresh, LikenessUnit unit) {
  Likeness like;
  const size_t step = unit == LikenessUnit::half_word ? 2 : 1;
  for (size_t i = 0; i + step <= fresh.size(); i += step) {
    if (unit == LikenessUnit::bit) {
      const auto changed = std::to_integer<uint8_t>(first[i] ^ fresh[i]);
      like.changed += static_cast<size_t>(std::popcount(changed));
      like.as_fresh +=
          static_cast<size_t>(std::popcount(static_cast<uint8_t>(changed & ~std::to_integer<uint8_t>(place[i] ^ fresh[i]))));
    } else if (!std::ranges::equal(first.subspan(i, step), fresh.subspan(i, step))) {
      ++like.changed;
      like.as_fresh += std::ranges::equal(place.subspan(i, step), fresh.subspan(i, step));
    }
  }
  return like;
}

bool has_trace_of_removed(const Geometry& g, Bytes place, Bytes newest) {
  std::set<uint32_t> names;  // where they are
  for (EntryWalk walk(place, g.block_size); const auto entry = walk.next();)
    if (entry->inode) names.insert(entry->offset);
  for (EntryWalk walk(newest, g.block_size); const auto entry = walk.next();) {
    const size_t at = entry->offset + kEntryHeader;
    if (!entry->inode || names.contains(entry->offset) || entry->name.empty()) continue;
    if (std::ranges::equal(place.subspan(at, entry->name.size()), newest.subspan(at, entry->name.size()))) return true;
  }
  return false;
}

}  // namespace extscrub
