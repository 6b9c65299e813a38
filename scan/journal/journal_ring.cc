// A ring has the newest transactions, then, where they end, a torn one that they have written over in part, then older ones that
// are whole. Kernels that do not keep s_head begin again at s_first with every mount: then there are several such seams. From a
// header the tags lead on to the next one, so that nothing but headers is read; behind a seam the ring is searched block by block
// for the next header, which no logged block can look like, as one that would is escaped.
#include "scan/journal/journal_ring.h"

#include <algorithm>

#include "scan/format/crc.h"

namespace extscrub {

using namespace jbd2;

namespace {

constexpr uint64_t kLastSecond = 253'402'300'799;  // of the year 9999: no date is later, whatever is stored

constexpr uint32_t kHeaderBytes = 16 << 10;  // read at once: a commit block and what follows it
constexpr uint32_t kAhead = 16;  // descriptors of a long transaction asked for ahead: all of them are full but the last
constexpr uint32_t kSearchBytes = 64 << 10;  // the same, in a search
// A descriptor has fewer tags than this to a block of the log: without a header for longer, the log has never been written there.
// Searched all the same are, of a log that is not too long, so many bytes.
constexpr uint64_t kMostSearchedBytes = 32 << 20;

uint32_t blocks_of(const Journal& journal, uint64_t bytes) {
  return static_cast<uint32_t>(std::max<uint64_t>(bytes / journal.log.block_size(), 1));
}

// A transaction, and how many of its blocks are headers.
struct RingEntry {
  LoggedTransaction transaction;
  uint32_t headers = 0;
};

class RingWalk {
 public:
  explicit RingWalk(const Journal& journal)
      : journal_(journal), super_(journal.super), window_(journal), length_(super_.end - super_.first),
        header_blocks_(blocks_of(journal, kHeaderBytes)), search_blocks_(blocks_of(journal, kSearchBytes)),
        stretch_(journal.log.block_size() / 8 + 2), most_searched_(kMostSearchedBytes / journal.log.block_size()),
        seen_(length_) {}

  // From here round the ring, until it comes to a header that was met before.
  void walk(uint32_t start) {
    at_ = start;
    steps_ = 0;
    open_.reset();
    committed_.reset();
    fresh_ = start == super_.first;
    while (steps_ <= uint64_t{2} * length_) {
      const Bytes block = window_.block(at_, open_ ? 1 : header_blocks_);
      const auto header = block.empty() ? std::nullopt : header_of(block);
      if (!header) {
        if (!find_header()) return;
        continue;
      }
      if (seen_[at_ - super_.first] && !open_) return;
      seen_[at_ - super_.first] = true;
      begin(*header);
      switch (header->type) {
        case kDescriptor: descriptor(block); break;
        case kRevoke: revoke(block); break;
        case kCommit: commit(block, header->sequence); break;
        default: open_.reset(); advance(1);
      }
    }
  }

  // Without those of which a part is written over: a header lies where a block was logged. One that seems to begin at s_first
  // may be the end of another that has gone round there.
  [[nodiscard]] std::vector<LoggedTransaction> whole() const {
    std::vector<uint32_t> before(length_ + 1);  // headers
    for (uint32_t i = 0; i < length_; ++i) before[i + 1] = before[i] + seen_[i];
    std::vector<LoggedTransaction> result;
    for (const RingEntry& entry : found_) {
      const LoggedTransaction& t = entry.transaction;
      const uint32_t begin = t.log_begin - super_.first, end = t.log_end - super_.first;
      const uint32_t headers = begin < end ? before[end] - before[begin] : before[length_] - before[begin] + before[end];
      const bool is_end = t.log_begin == super_.first && std::ranges::any_of(ends_round_, [&](const LoggedTransaction& other) {
                            return other.sequence == t.sequence && other.log_end == t.log_end && other.log_begin != t.log_begin;
                          });
      if (headers == entry.headers && !is_end) result.push_back(t);
    }
    return result;
  }

 private:
  // A transaction begins behind the commit block of an older one; anything else is the rest of one whose begin is gone.
  void begin(const Header& header) {
    if (open_ && open_->transaction.sequence != header.sequence) open_.reset();
    if (!open_ && (fresh_ || (committed_ && is_before(*committed_, header.sequence)))) {
      open_ = RingEntry{{.sequence = header.sequence, .log_begin = at_}};
      open_steps_ = steps_;
      crc_ = ~0u;
    }
    if (open_) ++open_->headers;
    fresh_ = false;
    committed_.reset();
  }

  void descriptor(Bytes block) {
    const size_t end = read_tags(block, super_, tags_);
    // Without checksums, a descriptor of a format with them is told by its own: otherwise nothing is there.
    const size_t tail = block.size() - sizeof(uint32_t);
    const bool sound = super_.csum_v2_or_v3() ? tail_matches(block, super_) : end > tail || be32(block, tail) == 0;
    if (!sound) {
      open_.reset();
      advance(1);
      return;
    }
    const bool sums = open_ && super_.compat & kCompatChecksum && !super_.csum_v2_or_v3();
    if (sums) crc_ = crc32_be(crc_, block);
    if (open_) {
      open_->transaction.copies += static_cast<uint32_t>(tags_.size());
      if (!(tags_.back().flags & kTagLast)) prefetch_like();
    }
    advance(1);
    if (sums)
      sum_up();
    else
      advance(tags_.size());
  }

  // The descriptor at hand is full: the next ones lie as far from each other.
  void prefetch_like() const {
    for (uint32_t i = open_->headers == 1 ? 1 : kAhead; i <= kAhead; ++i) journal_.log.prefetch(behind(i * (tags_.size() + 1)));
  }

  // Checksums of version 1 cover the logged blocks too.
  void sum_up() {
    for (size_t i = 0; i < tags_.size(); ++i) {
      const Bytes copy = window_.block(at_, search_blocks_);
      if (copy.empty() || header_of(copy)) open_.reset();
      if (!open_) return;
      crc_ = crc32_be(crc_, copy);
      advance(1);
    }
  }

  void revoke(Bytes block) {
    uint32_t records = 0;
    const bool sound = tail_matches(block, super_) && for_each_revoked(block, super_, [&](uint64_t) { ++records; });
    if (!sound) open_.reset();
    if (open_) open_->transaction.revokes += records;
    advance(1);
  }

  void commit(Bytes block, uint32_t sequence) {
    const bool sound = commit_matches(block, super_, crc_);
    uint64_t seconds = be64(block, kCommitSeconds);
    // debugfs stores 32 bits of them, which makes them the upper ones.
    if ((seconds & UINT32_MAX) == 0) seconds >>= 32;
    const uint32_t nanoseconds = be32(block, kCommitNanoseconds);
    advance(1);
    committed_ = sequence;
    if (open_ && sound && steps_ - open_steps_ <= length_) {
      LoggedTransaction& t = open_->transaction;
      t.seconds = std::min(seconds, kLastSecond);
      t.nanoseconds = std::min(nanoseconds, uint32_t{999'999'999});
      t.log_end = at_;
      found_.push_back(*open_);
      if (t.log_end <= t.log_begin) ends_round_.push_back(t);
    }
    open_.reset();
  }

  // On to the next header, whatever it is of. False when the rest of the log is not worth the search.
  bool find_header() {
    open_.reset();
    committed_.reset();
    fresh_ = false;
    for (uint32_t stretch = 0; steps_ <= uint64_t{2} * length_; ++stretch) {
      if (stretch > stretch_ && searched_ > most_searched_) return false;
      const Bytes block = window_.block(at_, search_blocks_);
      if (!block.empty() && header_of(block)) return true;
      ++searched_;
      advance(1);
    }
    return false;
  }

  // The block of the log that lies so many on.
  [[nodiscard]] uint32_t behind(uint64_t blocks) const {
    return static_cast<uint32_t>(super_.first + (at_ - super_.first + blocks) % length_);
  }

  void advance(uint64_t blocks) {
    steps_ += blocks;
    at_ = behind(blocks);
  }

  const Journal& journal_;
  const JournalSuper& super_;
  LogWindow window_;
  uint32_t length_;  // of the ring, in blocks
  uint32_t header_blocks_, search_blocks_, stretch_;
  uint64_t most_searched_;
  std::vector<bool> seen_;  // headers, by block of the ring
  std::vector<RingEntry> found_;
  std::vector<LoggedTransaction> ends_round_;  // of them, those that go over the log's end
  std::vector<Tag> tags_;

  uint32_t at_ = 0;  // block of the log
  uint64_t steps_ = 0;  // blocks gone on in this walk
  uint64_t searched_ = 0;  // in all walks
  std::optional<RingEntry> open_;  // the transaction at hand, while it may be whole
  uint64_t open_steps_ = 0;
  uint32_t crc_ = ~0u;
  std::optional<uint32_t> committed_;  // the commit block before this block is of that transaction
  bool fresh_ = false;  // the walk has begun here, where a log begins
};

}  // namespace

bool LogWindow::fill(uint32_t at, uint32_t count) {
  const size_t bytes = count * size_t{log_.block_size()};
  if (bytes > bytes_.size()) bytes_ = ReadBuffer(bytes);
  first_ = at;
  count_ = log_.read(at, bytes_.first(bytes)) ? count : 0;
  return count_ > 0;
}

Bytes LogWindow::block(uint32_t at, uint32_t ahead) {
  if (at < first_ || at - first_ >= count_) {
    const uint32_t count = at < single_until_ ? 1 : std::min(ahead, end_ - at);
    if (!fill(at, count)) {
      single_until_ = at + count;
      if (count == 1 || !fill(at, 1)) return {};
    }
  }
  const size_t size = log_.block_size();
  return Bytes(bytes_.data() + (at - first_) * size, size);
}

std::vector<LoggedTransaction> find_transactions(const Journal& journal, const JournalFacts* recovered) {
  RingWalk ring(journal);
  ring.walk(journal.super.first);
  const uint32_t starts[] = {journal.super.head, journal.super.start, recovered ? recovered->log_end : 0};
  for (const uint32_t start : starts)
    if (start >= journal.super.first && start < journal.super.end) ring.walk(start);
  return ring.whole();
}

void visit_transaction(const Journal& journal, const LoggedTransaction& transaction, LogWindow& window,
                       const TransactionVisitor& visitor) {
  const JournalSuper& super = journal.super;
  const uint32_t length = super.end - super.first;
  std::vector<Tag> tags;
  uint32_t at = transaction.log_begin;
  const auto advance = [&](uint64_t blocks) { at = static_cast<uint32_t>(super.first + (at - super.first + blocks) % length); };
  for (uint64_t steps = 0; steps < length;) {
    const Bytes block = window.block(at, 1);
    const auto header = block.empty() ? std::nullopt : header_of(block);
    if (!header || header->sequence != transaction.sequence || header->type == kCommit) return;
    const uint32_t log_block = at;
    advance(1);
    ++steps;
    if (header->type == kRevoke) visitor.revoke(log_block);
    if (header->type != kDescriptor) continue;
    read_tags(block, super, tags);
    for (const Tag& tag : tags) {
      visitor.copy(tag, at);
      advance(1);
    }
    steps += tags.size();
  }
}

}  // namespace extscrub
