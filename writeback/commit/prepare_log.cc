#include "writeback/commit/prepare_log.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "writeback/commit/refusals.h"

namespace extscrub {

namespace {

// No block of the log is named twice, is the journal's superblock, or one of those that go into the log.
bool has_log_of_its_own(const JournalSpace& space, std::span<const BlockImage> blocks) {
  std::vector<BlockNo> all = space.free;
  all.push_back(space.superblock);
  for (const BlockImage& block : blocks) all.push_back(block.block);
  std::ranges::sort(all);
  return std::ranges::adjacent_find(all) == all.end();
}

// The superblock in the transaction is the final one as far as it can be told before all is proven to be in place: not
// valid, so that whoever replays looks at the whole image; in need of recovery, until the log says that it is empty.
void put_superblock(MutableBytes block, const CommitRequest& request) {
  const SuperblockBytes superblock(block.subspan(superblock_inside(request)).first<kSuperblockSize>());
  std::ranges::copy(request.final_superblock, superblock.begin());
  set_needs_recovery(superblock, true);
  arm_superblock(superblock);
}

// All of the request, but for the journal's superblock, and the block with the primary superblock in any case.
std::vector<BlockImage> blocks_to_log(const CommitRequest& request, Bytes superblock) {
  std::vector<BlockImage> blocks{{superblock_block(request), superblock}};
  for (const StagedBlock& staged : request.blocks)
    if (staged.block != superblock_block(request) && staged.block != request.journal->superblock)
      blocks.push_back({staged.block, staged.after});
  std::ranges::sort(blocks, {}, &BlockImage::block);
  return blocks;
}

Checked make_log(Prepared& p, WriteDevice& device) {
  const CommitRequest& request = p.request;
  const BlockNo at = superblock_block(request);
  PreparedLog& log = p.through.emplace();
  log.superblock_block.resize(request.block_size);
  const auto staged = std::ranges::find(request.blocks, at, &StagedBlock::block);
  if (staged != request.blocks.end())
    std::ranges::copy(staged->after, log.superblock_block.begin());
  else if (const int error = read_fully(device, p.shape.extent_of(at).at, log.superblock_block))
    return refuse(RefusalReason::unreadable, at, error);
  put_superblock(log.superblock_block, request);

  const std::vector<BlockImage> blocks = blocks_to_log(request, log.superblock_block);
  if (!has_log_of_its_own(*request.journal, blocks)) return refuse(RefusalReason::log_not_its_own, EINVAL);
  log.transaction = make_transaction(*request.journal, blocks, static_cast<uint64_t>(std::time(nullptr)));
  std::vector<BlockImage> by_number = log.transaction.log;
  std::ranges::sort(by_number, {}, &BlockImage::block);
  for (const BlockImage& block : by_number) p.log.add(make_commit_block({block.block, {}, block.bytes}, BufferKind::log));
  return {};
}

}  // namespace

Checked prepare_log(Prepared& prepared, WriteDevice& device, CommitReport& report) {
  const WayChoice choice = choose_way(prepared.request);
  report.why_direct = choice.why_direct;
  if (!choice.journal) {
    if (prepared.request.way != CommitWay::journal) return {};
    return refuse(RefusalReason::no_way_through_journal, 0, {choice.why_direct});
  }
  if (const auto made = make_log(prepared, device); !made) return made;
  report.through_journal = true;
  report.log_blocks = prepared.log.blocks().size();
  return {};
}

}  // namespace extscrub
