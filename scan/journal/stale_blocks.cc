#include "scan/journal/stale_blocks.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <ranges>

namespace extscrub {

namespace {

// The newest copies that what lies in place should be, by block.
std::vector<LoggedCopy> newest_copies(const Journal& journal, const JournalHistory& history, const FileSystem& fs,
                                      uint64_t since) {
  const BlockNo super(kSuperblockOffset / fs.geometry.block_size);
  std::vector<LoggedCopy> newest;
  for (size_t i = 0; i < history.copies.size(); ++i) {
    const LoggedCopy& copy = history.copies[i];
    if (i + 1 < history.copies.size() && history.copies[i + 1].block == copy.block) continue;
    if (copy.revoked || copy.transaction < history.unbroken || history.transactions[copy.transaction].seconds <= since) continue;
    if (copy.block == super || fs.blocks->has(copy.block) || fs.is_missing(copy.block) || journal.log.contains(copy.block))
      continue;
    newest.push_back(copy);
  }
  return newest;
}

}  // namespace

HistoryCheck::HistoryCheck(const Journal& journal, const JournalHistory& history, const FileSystem& fs, uint64_t since)
    : journal_(journal), history_(history), fs_(fs), newest_(newest_copies(journal, history, fs, since)), state_(newest_.size()) {
}

void HistoryCheck::look(BlockNo first, Bytes blocks) {
  const uint32_t size = fs_.geometry.block_size;
  const BlockNo end = first + blocks.size() / size;
  const auto begin = std::ranges::lower_bound(newest_, first, {}, &LoggedCopy::block);
  for (auto i = static_cast<size_t>(begin - newest_.begin()); i < newest_.size() && newest_[i].block < end; ++i)
    compare(i, blocks.subspan((newest_[i].block - first) * size, size));
}

void HistoryCheck::compare(size_t i, Bytes bytes) {
  state_[i].store(equals_copy(journal_, history_, newest_[i], bytes) ? State::equal : State::differs, std::memory_order_relaxed);
}

void HistoryCheck::read_rest(Depth depth) {
  std::vector<size_t> rest;
  for (size_t i = 0; i < newest_.size(); ++i) {
    if (state_[i].load(std::memory_order_relaxed) != State::unseen) continue;
    const MetadataExtent* extent = fs_.metadata.find(newest_[i].block);
    if (depth == Depth::all || (extent && extent->kind == MetadataKind::inode_table) || has_older(newest_[i].block))
      rest.push_back(i);
  }
  constexpr size_t kGrain = 64;  // blocks
  tbb::parallel_for(tbb::blocked_range<size_t>(0, rest.size(), kGrain), [&](const auto& range) {
    const uint32_t size = fs_.geometry.block_size;
    std::vector<std::byte> bytes;
    for (size_t k = range.begin(); k < range.end();) {
      size_t count = 1;  // of blocks that follow each other
      while (k + count < range.end() && newest_[rest[k + count]].block == newest_[rest[k]].block + count) ++count;
      bytes.resize(count * size);
      if (fs_.blocks->read(newest_[rest[k]].block, bytes))
        for (size_t n = 0; n < count; ++n) compare(rest[k + n], Bytes(bytes).subspan(n * size, size));
      k += count;
    }
  });
}

std::optional<LoggedCopy> HistoryCheck::find_same(BlockNo block) const {
  const auto all = history_.of(block);
  std::vector<std::byte> bytes(fs_.geometry.block_size);
  if (all.size() < 2 || !fs_.blocks->read(block, bytes)) return {};
  for (size_t k = all.size() - 1; k-- > 0;)
    if (equals_copy(journal_, history_, all[k], bytes)) return all[k];
  return {};
}

LoggedCopy HistoryCheck::find_oldest(BlockNo block) const {
  const auto all = history_.of(block);
  LoggedCopy oldest = all.back();
  for (const LoggedCopy& copy : all | std::views::reverse) {
    if (copy.revoked || copy.transaction < history_.unbroken) break;
    oldest = copy;
  }
  return oldest;
}

std::vector<StaleBlock> HistoryCheck::finish(Depth depth) {
  read_rest(depth);
  std::vector<StaleBlock> stale;
  for (size_t i = 0; i < newest_.size(); ++i)
    if (state_[i].load(std::memory_order_relaxed) == State::differs)
      stale.push_back({newest_[i].block, newest_[i], find_same(newest_[i].block), find_oldest(newest_[i].block)});
  return stale;
}

}  // namespace extscrub
