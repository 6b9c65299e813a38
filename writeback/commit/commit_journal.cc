// The part of a commit that goes through the journal: all blocks in one transaction, durable and valid before the first
// of them goes to its place. The transaction replaces what the log holds instead of following it: it has the replay's
// result with the repairs, so what the log says beyond that (a block that the repair leaves as it is on the disk) must
// not be put over it any more, and no record of an older transaction or fast commit reaches it.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "writeback/commit/commit_run.h"
#include "writeback/mark/error_mark.h"

namespace extscrub {

namespace {

BlockNo superblock_block(const CommitRequest& request) {
  return BlockNo(kSuperblockOffset / request.block_size);
}

// Of the request, but for the journal's superblock, which no transaction can have.
uint64_t count_logged(const CommitRequest& request, BlockNo journal_superblock) {
  const auto staged = [&](BlockNo block) {
    return std::ranges::binary_search(request.blocks, block, {}, &StagedBlock::block);
  };
  return request.blocks.size() - (staged(journal_superblock) ? 1 : 0) + (staged(superblock_block(request)) ? 0 : 1);
}

// No block of the log is named twice, is the journal's superblock, or one of those that go into the log.
bool has_log_of_its_own(const JournalSpace& space, std::span<const BlockImage> blocks) {
  std::vector<BlockNo> all = space.free;
  all.push_back(space.superblock);
  for (const BlockImage& block : blocks) all.push_back(block.block);
  std::ranges::sort(all);
  return std::ranges::adjacent_find(all) == all.end();
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

bool CommitRun::choose_journal() {
  const WayChoice choice = choose_way(request_);
  report_.why_direct = choice.why_direct;
  if (choice.journal) return make_log();
  if (request_.way != CommitWay::journal) return true;
  return refuse(fmt::format("{} is untouched: the repair cannot go through the journal ({}). With --commit=auto it is "
                            "written in place then",
                            request_.path.string(), choice.why_direct));
}

// The superblock in the transaction is the final one as far as it can be told before all is proven to be in place: not
// valid, so that whoever replays looks at the whole image; in need of recovery, until the log says that it is empty.
bool CommitRun::make_log() {
  const JournalSpace& space = *request_.journal;
  const BlockNo at = superblock_block(request_);
  superblock_block_.resize(request_.block_size);
  std::vector<BlockImage> blocks{{at, superblock_block_}};
  bool staged = false;
  for (const StagedBlock& block : request_.blocks) {
    if (block.block == at) {
      std::ranges::copy(block.after, superblock_block_.begin());
      staged = true;
    } else if (block.block != space.superblock) {
      blocks.push_back({block.block, block.after});
    }
  }
  const Extent extent = shape_.extent_of(at);
  if (!staged)
    if (const int error = read_fully(device_, extent.at, superblock_block_)) return refuse_read(error, extent);
  const SuperblockBytes superblock(
      MutableBytes(superblock_block_).subspan(kSuperblockOffset % request_.block_size).first<kSuperblockSize>());
  std::ranges::copy(request_.final_superblock, superblock.begin());
  set_needs_recovery(superblock, true);
  arm_superblock(superblock);

  std::ranges::sort(blocks, {}, &BlockImage::block);
  if (!has_log_of_its_own(space, blocks))
    return refuse(request_.path.string() + " is untouched: its journal has a block twice, or one that is something else "
                                           "as well. With --commit=direct it is not gone through", EINVAL);
  transaction_ = make_transaction(space, blocks, static_cast<uint64_t>(std::time(nullptr)));
  report_.through_journal = true;
  report_.log_blocks = transaction_->log.size();
  for (const BlockImage& block : transaction_->log) blocks_.push_back({block.block, {}, block.bytes});
  std::ranges::sort(blocks_, {}, &StagedBlock::block);
  roles_.assign(blocks_.size(), Role::last);
  for (const BlockImage& block : transaction_->log) {
    const auto it = std::ranges::lower_bound(blocks_, block.block, {}, &StagedBlock::block);
    roles_[static_cast<size_t>(it - blocks_.begin())] = Role::log;
  }
  return true;
}

bool CommitRun::write_log() {
  if (!transaction_) return true;
  // Nobody looks at this part of the log yet. It is read again before anybody is told to.
  if (!write_pieces(log_, "writing the journal") || !flush(CommitStep::log) ||
      !pieces_read_back(log_, "reading back the journal"))
    return false;
  if (!needs_recovery(superblock_.superblock())) {
    set_needs_recovery(superblock_.superblock(), true);
    if (!write_durably(superblock_, CommitStep::log)) return false;
  }
  std::ranges::copy(Bytes(transaction_->superblock), journal_->bytes.begin());
  offered_ = true;
  report_.logged = write_durably(*journal_, CommitStep::log);
  return report_.logged;
}

}  // namespace extscrub
