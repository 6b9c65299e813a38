#include "audit/edit/directory_salvage.h"

#include <algorithm>
#include <vector>

namespace extscrub {

namespace {

// The entry at `at` with the length its name needs, whatever rec_len says; nothing when the name does not fit.
std::optional<DirEntry> entry_by_name(Bytes area, uint32_t at) {
  const auto left = area.size() - at;
  if (left < kShortestEntry) return {};
  const auto length = load<uint8_t>(area, at + 6);
  if (length == 0 || entry_size(length) > left) return {};
  DirEntry e;
  e.offset = at;
  e.rec_len = entry_size(length);
  e.inode = InodeNo(load<uint32_t>(area, at));
  e.type = load<uint8_t>(area, at + 7);
  e.name = {reinterpret_cast<const char*>(area.data()) + at + kEntryHeader, length};
  return e;
}

}  // namespace

bool Salvage::plausible(const DirEntry& e) const {
  const Geometry& g = run_.fs.geometry;
  if (!g.valid_inode(e.inode) || e.inode.value < g.first_inode || e.inode == directory_) return false;
  if (!run_.scan->links.in_use(e.inode) || e.name.empty()) return false;
  if (!encrypted_ && (e.name.find('/') != e.name.npos || e.name.find('\0') != e.name.npos)) return false;
  if (!g.has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE)) return e.type == 0;
  const uint8_t type = run_.scan->links.type(e.inode);
  return e.type == type || e.type == EXT2_FT_UNKNOWN || type == EXT2_FT_UNKNOWN;
}

bool Salvage::lacks_name(InodeNo ino) const {
  const DirectoryTable& table = run_.scan->directories;
  if (const uint32_t index = table.find(ino); index < table.directories.size()) return table.directories[index].parent == 0;
  const auto& links = run_.directories.links;
  const auto it = std::ranges::lower_bound(links, ino, {}, &LinkFacts::inode);
  return it != links.end() && it->inode == ino && it->found < it->links;
}

Salvage::Result Salvage::behind(Bytes area, uint32_t at) const {
  Result result;
  const uint32_t left = static_cast<uint32_t>(area.size()) - at;
  if (left < kShortestEntry) return result;
  const uint32_t rec_len = decode_rec_len(load<uint16_t>(area, at + 4), run_.fs.geometry.block_size);
  // The length may be right, and the name too long for it.
  const bool leads_on = rec_len % 4 == 0 && rec_len >= kEntryHeader && rec_len < left;
  if (leads_on && rec_len >= kShortestEntry) {
    result.next = at + rec_len;
    return result;
  }
  uint32_t from = at + 4;
  if (const auto e = entry_by_name(area, at); e && plausible(*e) && lacks_name(e->inode)) {
    result.entry = e;
    from = at + e->rec_len;
  }
  result.next = find_chain(area, from);
  if (!result.next && !result.entry && leads_on) result.next = at + rec_len;
  return result;
}

std::optional<uint32_t> Salvage::find_chain(Bytes area, uint32_t from) const {
  const auto end = static_cast<uint32_t>(area.size());
  const uint32_t size = run_.fs.geometry.block_size;
  std::vector<bool> leads_on(end / 4 + 1);  // from there to the end, by offset / 4
  leads_on[end / 4] = true;
  std::optional<uint32_t> found;
  for (uint32_t at = (end - std::min(end, kShortestEntry)) / 4 * 4; at >= from && at < end; at -= 4) {
    const auto e = EntryWalk(area, size, at).next();
    if (!e || !leads_on[(at + e->rec_len) / 4]) continue;
    if (e->inode && !plausible(*e)) continue;
    leads_on[at / 4] = true;
    if (e->inode && lacks_name(e->inode)) found = at;
  }
  return found;
}

}  // namespace extscrub
