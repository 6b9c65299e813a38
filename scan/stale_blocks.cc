#include "scan/stale_blocks.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <ranges>

namespace extscrub {

namespace {

// The newest copies that what lies in place should be, by block.
std::vector<LoggedCopy> newest_copies(const Journal& journal, const JournalHistory& history, const FileSystem& fs, uint64_t since) {
  const BlockNo super(kSuperblockOffset / fs.geometry.block_size);
  std::vector<LoggedCopy> newest;
  for (size_t i = 0; i < history.copies.size(); ++i) {
    const LoggedCopy& copy = history.copies[i];
    if (i + 1 < history.copies.size() && history.copies[i + 1].block == copy.block) continue;
    if (copy.revoked || copy.transaction < history.unbroken || history.transactions[copy.transaction].seconds <= since) continue;
    if (copy.block == super || fs.blocks->has(copy.block) || fs.is_missing(copy.block) || journal.log.contains(copy.block)) continue;
    newest.push_back(copy);
  }
  return newest;
}

}  // namespace

std::vector<StaleBlock> find_stale_blocks(const Journal& journal, const JournalHistory& history, const FileSystem& fs, uint64_t since) {
  const std::vector<LoggedCopy> newest = newest_copies(journal, history, fs, since);
  constexpr size_t kGrain = 64;  // blocks
  tbb::enumerable_thread_specific<std::vector<StaleBlock>> shards;
  tbb::parallel_for(tbb::blocked_range<size_t>(0, newest.size(), kGrain), [&](const auto& range) {
    std::vector<std::byte> bytes(fs.geometry.block_size);
    for (size_t i = range.begin(); i < range.end(); ++i) {
      const LoggedCopy& copy = newest[i];
      if (!fs.blocks->read(copy.block, bytes) || equals_copy(journal, history, copy, bytes)) continue;
      StaleBlock stale{copy.block, copy, {}, copy};
      const auto all = history.of(copy.block);
      for (const LoggedCopy& c : all | std::views::reverse) {
        if (c.revoked || c.transaction < history.unbroken) break;
        stale.oldest = c;
      }
      for (size_t k = all.size() - 1; k-- > 0 && !stale.same;)
        if (equals_copy(journal, history, all[k], bytes)) stale.same = all[k];
      shards.local().push_back(std::move(stale));
    }
  });
  std::vector<StaleBlock> all;
  for (auto& shard : shards) std::ranges::move(shard, std::back_inserter(all));
  std::ranges::sort(all, {}, &StaleBlock::block);
  return all;
}

}  // namespace extscrub
