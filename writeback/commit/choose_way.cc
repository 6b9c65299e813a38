// Whether a commit goes through the journal: all blocks in one transaction, durable and valid before the first of them
// goes to its place. The transaction replaces what the log holds instead of following it: it has the replay's result
// with the repairs, so what the log says beyond that (a block that the repair leaves as it is on the disk) must not be
// put over it any more, and no record of an older transaction or fast commit reaches it.
#include <algorithm>

#include "writeback/commit/commit_request.h"
#include "writeback/commit/journal_transaction.h"

namespace extscrub {

namespace {

// Of the request, but for the journal's superblock, which no transaction can have.
uint64_t count_logged(const CommitRequest& request, BlockNo journal_superblock) {
  const auto staged = [&](BlockNo block) { return std::ranges::binary_search(request.blocks, block, {}, &StagedBlock::block); };
  return request.blocks.size() - (staged(journal_superblock) ? 1 : 0) + (staged(superblock_block(request)) ? 0 : 1);
}

std::string why_direct(const CommitRequest& request) {
  if (request.way == CommitWay::direct) return "asked for";
  if (!request.journal) return "nobody has looked for a journal";
  const JournalSpace& space = *request.journal;
  if (!space.unfit.empty()) return space.unfit;
  const uint64_t count = count_logged(request, space.superblock);
  if (count == 1 && request.way == CommitWay::automatic) return "only the superblock changes";
  const BlockNo last = request.blocks.empty() ? BlockNo() : request.blocks.back().block;
  return obstacle(space, count, last);
}

}  // namespace

WayChoice choose_way(const CommitRequest& request) {
  WayChoice choice;
  choice.why_direct = why_direct(request);
  choice.journal = choice.why_direct.empty();
  if (!choice.journal) return choice;
  const JournalSpace& space = *request.journal;
  const auto needed = static_cast<std::ptrdiff_t>(log_blocks_needed(space, count_logged(request, space.superblock)));
  choice.log.assign(space.free.begin(), space.free.begin() + needed);
  return choice;
}

}  // namespace extscrub
