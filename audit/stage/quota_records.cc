#include "audit/stage/quota_records.h"

#include <algorithm>

#include "scan/filesystem/inode_table.h"

namespace extscrub {

QuotaRecords::QuotaRecords(const FileSystem& fs, Overlay& overlay, InodeNo ino)
    : overlay_(overlay), block_(overlay.block_size()) {
  std::vector<std::byte> raw(fs.geometry.inode_size);
  if (!fs.geometry.valid_inode(ino) || !read_inode(fs, ino, raw)) return;
  const Inode inode(fs.geometry, ino, raw);
  if (inode.type() != FileType::regular || !inode.has_block_map()) return;
  RunList found;
  MapWalker(fs).walk(inode, found);
  std::ranges::copy_if(found.runs, std::back_inserter(runs_), [](const Run& r) { return !r.unwritten; });
}

bool QuotaRecords::is(QuotaType type) {
  const auto at = place(0);
  return at && read(*at) && load<QuotaHeader>(bytes(*at)).magic == kQuotaMagics[static_cast<size_t>(type)] &&
         load<QuotaHeader>(bytes(*at)).version == 1;
}

Result<bool> QuotaRecords::edit(uint32_t id, const std::function<void(QuotaEntryR1&)>& change) {
  uint32_t node = kQuotaRoot;
  for (int level = kQuotaDepth - 1; level >= 0; --level) {
    const auto at = place(node);
    if (!at || !read(*at)) return false;
    node = load<uint32_t>(bytes(*at), (id >> (8 * level) & 0xFF) * sizeof(uint32_t));
    if (node == 0) return false;
  }
  const auto at = place(node);
  if (!at || !read(*at)) return false;
  for (size_t offset = sizeof(QuotaBlockHeader); offset + sizeof(QuotaEntryR1) <= kQuotaBlock; offset += sizeof(QuotaEntryR1)) {
    const Bytes raw = bytes(*at).subspan(offset, sizeof(QuotaEntryR1));
    auto entry = load<QuotaEntryR1>(raw);
    if (entry.id != id || std::ranges::all_of(raw, [](std::byte b) { return b == std::byte{0}; })) continue;
    auto block = overlay_.edit(at->block);
    if (!block) return std::unexpected(block.error());
    change(entry);
    store(*block, at->offset + offset, entry);
    return true;
  }
  return false;
}

std::optional<QuotaRecords::Place> QuotaRecords::place(uint32_t quota_block) const {
  const uint64_t byte = uint64_t{quota_block} * kQuotaBlock;
  const uint64_t logical = byte / block_.size();
  for (const Run& run : runs_)
    if (logical >= run.logical && logical - run.logical < run.count)
      return Place{run.physical + (logical - run.logical), byte % block_.size()};
  return std::nullopt;
}

}  // namespace extscrub
