// The replay of the log. Three passes, as the kernel's: the first finds the end of what was committed whole, the second
// collects what was revoked, the third writes. The first alone verifies descriptors and commits; a checksum that does
// not match may also mean that the block is a left-over of an earlier life of the log, which the time of the commit tells.
#include <algorithm>
#include <unordered_map>

#include "scan/format/crc.h"
#include "scan/journal/journal_blocks.h"

namespace extscrub {

using namespace jbd2;

namespace {

enum class Pass : uint8_t { scan, revoke, replay };

class Replay {
 public:
  Replay(Journal& journal, Overlay& overlay)
      : journal_(journal), super_(journal.super), facts_(journal.facts), overlay_(overlay), block_(overlay.block_size()),
        data_(overlay.block_size()) {}

  Result<void> run() {
    facts_.first_sequence = super_.sequence;
    end_block_ = super_.start;
    if (auto r = pass(Pass::scan); !r) return r;
    facts_.last_sequence = end_ - 1;
    facts_.transactions = end_ - super_.sequence;
    facts_.log_end = end_block_;
    if (facts_.transactions > 0) {
      if (auto r = pass(Pass::revoke); !r) return r;
      if (auto r = pass(Pass::replay); !r) return r;
    }
    return {};
  }

  // The number of the first transaction that is not replayed.
  [[nodiscard]] uint32_t end() const { return end_; }

 private:
  enum class Step : uint8_t { on, stop };

  Result<void> pass(Pass pass) {
    pass_ = pass;
    next_ = super_.start;
    sequence_ = super_.sequence;
    steps_ = 0;
    suspect_ = false;
    last_commit_seconds_ = 0;
    crc_ = ~0u;
    while (pass == Pass::scan || is_before(sequence_, end_)) {
      // A log that is full ends where it began.
      if (const uint32_t length = super_.end - super_.first; steps_ >= length) {
        if (pass == Pass::scan && steps_ > length) defect(JournalDefectKind::endless, super_.start, length, steps_);
        break;
      }
      const uint64_t at = next_;
      if (!journal_.log.read(at, block_)) {
        if (pass == Pass::scan) defect(JournalDefectKind::unreadable, at);
        break;
      }
      advance(1);
      const auto header = header_of(block_);
      if (!header || header->sequence != sequence_) break;
      auto step = Result<Step>(Step::stop);
      switch (header->type) {
        case kDescriptor: step = descriptor(at); break;
        case kRevoke: step = revoke(at); break;
        case kCommit: step = commit(at); break;
        default: break;
      }
      if (!step) return std::unexpected(step.error());
      if (*step == Step::stop) break;
    }
    if (pass == Pass::scan && !end_known_) end_ = sequence_;
    return {};
  }

  Result<Step> descriptor(uint64_t at) {
    if (pass_ == Pass::scan && !tail_matches(block_, super_)) {
      suspect_ = true;
      suspect_block_ = at;
      suspect_kind_ = JournalDefectKind::descriptor_checksum;
    }
    read_tags(block_, super_, tags_);
    switch (pass_) {
      case Pass::scan: {
        for (const Tag& tag : tags_) revocable_.try_emplace(tag.block, super_.sequence - 1);
        if (!(super_.compat & kCompatChecksum) || super_.csum_v2_or_v3() || suspect_) {
          advance(tags_.size());
          return Step::on;
        }
        return sum_up();
      }
      case Pass::revoke: advance(tags_.size()); return Step::on;
      case Pass::replay:
        for (const Tag& tag : tags_)
          if (auto r = replay_block(tag); !r) return std::unexpected(r.error());
        return Step::on;
    }
    return Step::stop;
  }

  // Version 1 checksums cover the descriptors and all logged blocks of the transaction.
  Result<Step> sum_up() {
    crc_ = crc32_be(crc_, block_);
    for (size_t i = 0; i < tags_.size(); ++i) {
      const uint64_t at = next_;
      advance(1);
      if (!journal_.log.read(at, data_)) {
        defect(JournalDefectKind::unreadable, at);
        return Step::stop;
      }
      crc_ = crc32_be(crc_, data_);
    }
    return Step::on;
  }

  Result<void> replay_block(const Tag& tag) {
    const uint64_t at = next_;
    advance(1);
    // A record of the same transaction revokes what the earlier ones logged, and what is logged before it in its own.
    if (const auto it = revocable_.find(tag.block); it != revocable_.end() && !is_before(it->second, sequence_)) {
      ++facts_.revoked_blocks;
      return {};
    }
    if (!journal_.log.read(at, data_)) {
      defect(JournalDefectKind::unreadable, at);
      return {};
    }
    if (super_.csum_v2_or_v3()) {
      const uint32_t expected = tag_checksum(data_, super_, sequence_);
      if (tag.checksum != expected) {
        defect(JournalDefectKind::block_checksum, at, expected, tag.checksum);
        return {};
      }
    }
    const uint64_t limit = (overlay_.image().size() + data_.size() - 1) / data_.size();
    if (tag.block >= limit) {
      defect(JournalDefectKind::target, at, limit, tag.block);
      return {};
    }
    auto target = overlay_.edit(BlockNo(tag.block));
    if (!target) return std::unexpected(target.error());
    std::ranges::copy(data_, target->begin());
    // A block that began with the journal's own magic number was logged with zeros in its place.
    if (tag.flags & kTagEscaped) put_be32(*target, 0, kMagic);
    ++facts_.replayed_blocks;
    return {};
  }

  Result<Step> revoke(uint64_t at) {
    if (pass_ == Pass::scan && !tail_matches(block_, super_) && !suspect_) {
      suspect_ = true;
      suspect_block_ = at;
      suspect_kind_ = JournalDefectKind::revoke_checksum;
    }
    if (pass_ != Pass::revoke) return Step::on;
    // Only what is logged somewhere can be revoked: no more is kept than there are logged blocks.
    const bool fits = for_each_revoked(block_, super_, [this](uint64_t block) {
      if (auto it = revocable_.find(block); it != revocable_.end() && is_before(it->second, sequence_)) it->second = sequence_;
    });
    if (!fits) defect(JournalDefectKind::revoke_count, at, block_.size() - super_.tail_bytes(), be32(block_, kRevokeCount));
    return Step::on;
  }

  Result<Step> commit(uint64_t at) {
    if (pass_ != Pass::scan) {
      ++sequence_;
      return Step::on;
    }
    const uint64_t seconds = be64(block_, kCommitSeconds);
    const bool left_over = seconds < last_commit_seconds_;
    if (suspect_) {
      if (!left_over) defect(suspect_kind_, suspect_block_);
      return Step::stop;
    }
    if (end_known_) {
      if (!left_over) facts_.defects.push_back({JournalDefectKind::commit_checksum, commit_block_, end_, 0, 0});
      facts_.whole = facts_.whole && left_over;
      return Step::stop;
    }
    if (!commit_matches(block_, super_, crc_)) {
      if (left_over) return Step::stop;
      end_ = sequence_;
      end_known_ = true;
      commit_block_ = at;
      // With asynchronous commits the commit block may reach the disk before what it commits: only when another
      // transaction follows has the log been damaged.
      if (!super_.has_incompat(kIncompatAsyncCommit)) {
        defect(JournalDefectKind::commit_checksum, at);
        return Step::stop;
      }
    }
    last_commit_seconds_ = seconds;
    crc_ = ~0u;
    ++sequence_;
    if (!end_known_) end_block_ = static_cast<uint32_t>(next_);
    return Step::on;
  }

  void advance(uint64_t blocks) {
    steps_ += blocks;
    next_ += blocks;
    const uint64_t length = super_.end - super_.first;
    if (next_ >= super_.end) next_ = super_.first + (next_ - super_.end) % length;
  }

  void defect(JournalDefectKind kind, uint64_t at, uint64_t expected = 0, uint64_t found = 0) {
    facts_.defects.push_back({kind, at, sequence_, expected, found});
    facts_.whole = false;
  }

  Journal& journal_;
  const JournalSuper& super_;
  JournalFacts& facts_;
  Overlay& overlay_;
  std::vector<std::byte> block_, data_;
  std::vector<Tag> tags_;
  // By block of the file system: the last transaction that revokes it; the one before the first where none does.
  std::unordered_map<uint64_t, uint32_t> revocable_;

  Pass pass_ = Pass::scan;
  uint64_t next_ = 0;       // block of the log
  uint64_t steps_ = 0;      // blocks gone through in this pass
  uint32_t sequence_ = 0;
  uint32_t end_ = 0;
  uint32_t end_block_ = 0;  // of the log, behind the last commit that counts
  bool end_known_ = false;
  uint64_t commit_block_ = 0;
  // A checksum did not match in this transaction; whether that is damage is known at its commit.
  bool suspect_ = false;
  uint64_t suspect_block_ = 0;
  JournalDefectKind suspect_kind_{};
  uint64_t last_commit_seconds_ = 0;
  uint32_t crc_ = ~0u;
};

}  // namespace

Result<void> replay_journal(Journal& journal, Overlay& overlay) {
  if (!journal.facts.usable || !journal.facts.needs_recovery) return {};
  Replay replay(journal, overlay);
  if (auto r = replay.run(); !r) return r;
  if (journal.facts.whole && journal.super.has_incompat(kIncompatFastCommit)) scan_fast_commits(journal, replay.end());
  return empty_journal(journal, overlay, replay.end() + 1);
}

}  // namespace extscrub
