// Transactions that are whole may still be of several lives of the log: of a file system that was there before, or of a journal
// that was made anew or reset. Their numbers and times tell, but not each alone: numbers wrap, a reset makes up new ones, and a
// clock may have been set back. Transactions that follow each other in number and place are of one life whatever their times:
// such a chain is taken or left as one.
#include "scan/journal/journal_history.h"

#include <fmt/format.h>

#include <algorithm>

#include "scan/journal/journal_ring.h"

namespace extscrub {

using namespace jbd2;

namespace {

// The numbers of transactions that follow each other in the log differ by so much at most: e2fsck and this program leave s_head
// where it was when they replay the log, and the next mount writes over what was replayed.
constexpr uint32_t kMostMissing = 64;
// From the last transaction of a mount to the first of the next; had there been one between, it were more.
constexpr uint32_t kNextMount = 3;
// From the last transaction to s_sequence.
constexpr uint32_t kToEnd = 2;

using Chain = std::vector<LoggedTransaction>;  // oldest first

bool follows(const LoggedTransaction& before, const LoggedTransaction& t) {
  const uint32_t step = t.sequence - before.sequence;
  return t.log_begin == before.log_end && step > 0 && step <= kMostMissing;
}

std::vector<Chain> chains_of(std::vector<LoggedTransaction> transactions) {
  std::ranges::sort(transactions, {}, &LoggedTransaction::log_begin);
  const size_t count = transactions.size();
  constexpr size_t kNone = SIZE_MAX;
  std::vector<size_t> next(count, kNone);
  std::vector<bool> has_before(count);
  for (size_t i = 0; i < count; ++i) {
    const auto it = std::ranges::lower_bound(transactions, transactions[i].log_end, {}, &LoggedTransaction::log_begin);
    if (it == transactions.end() || !follows(transactions[i], *it)) continue;
    next[i] = static_cast<size_t>(it - transactions.begin());
    has_before[next[i]] = true;
  }
  std::vector<Chain> chains;
  for (size_t i = 0; i < count; ++i) {
    if (has_before[i]) continue;
    Chain& chain = chains.emplace_back();
    for (size_t j = i; j != kNone; j = next[j]) chain.push_back(transactions[j]);
  }
  return chains;
}

uint64_t made_at(const FileSystem& fs) { return fs.super.s_mkfs_time | uint64_t{fs.super.s_mkfs_time_hi} << 32; }

// The chains of this life, as one list. `end`: the number that the next transaction will have. The newest chain counts; an
// older one must have been committed before it, by its numbers and its times.
std::vector<LoggedTransaction> choose_life(std::vector<Chain> chains, uint32_t end, uint64_t made) {
  for (Chain& chain : chains) {
    // What was undone, or is of before a reset.
    std::erase_if(chain, [=](const LoggedTransaction& t) { return !is_before(t.sequence, end); });
    // Of before mke2fs. A clock that was wrong for a while does not make a file system older.
    if (std::ranges::all_of(chain, [=](const LoggedTransaction& t) { return t.seconds < made; })) chain.clear();
  }
  std::erase_if(chains, &Chain::empty);
  std::ranges::sort(chains, [=](const Chain& a, const Chain& b) {
    const auto age = [=](const Chain& c) { return std::pair(end - c.back().sequence, ~c.back().seconds); };
    return age(a) < age(b);
  });
  std::vector<LoggedTransaction> life;  // newest first
  for (const Chain& chain : chains) {
    if (!life.empty()) {
      const LoggedTransaction& oldest = life.back();
      if (!is_before(chain.back().sequence, oldest.sequence) || chain.back().seconds > oldest.seconds) continue;
    }
    life.insert(life.end(), chain.rbegin(), chain.rend());
  }
  std::ranges::reverse(life);
  return life;
}

// `first`: the block of the log where kernels begin that do not keep s_head.
size_t find_unbroken(const std::vector<LoggedTransaction>& transactions, uint32_t first, uint32_t end) {
  size_t i = transactions.size();
  if (i == 0 || end - transactions.back().sequence > kToEnd) return i;
  const auto is_next = [=](const LoggedTransaction& before, const LoggedTransaction& t) {
    return t.sequence - before.sequence <= kNextMount && (t.log_begin == before.log_end || t.log_begin == first);
  };
  --i;
  while (i > 0 && is_next(transactions[i - 1], transactions[i])) --i;
  return i;
}

// A clean unmount takes the feature of fast commits off the journal, while the ring has been shorter by their area.
Journal as_it_was_used(const Journal& journal, const FileSystem& fs) {
  Journal used = journal;
  JournalSuper& s = used.super;
  const bool hidden = fs.geometry.has_compat(EXT4_FEATURE_COMPAT_FAST_COMMIT) && !s.has_incompat(kIncompatFastCommit);
  if (hidden && s.end - s.first > s.fc_blocks) s.end -= s.fc_blocks;
  return used;
}

struct RevokeBlock {
  uint32_t log_block = 0, transaction = 0;
};

// The copies and revoke blocks of the transactions, from the newest on as far as there is room.
std::vector<RevokeBlock> collect(const Journal& journal, const FileSystem& fs, size_t most_copies, LogWindow& window,
                                 JournalHistory& history) {
  std::vector<RevokeBlock> revokes;
  size_t first = history.transactions.size();
  while (first > 0) {
    const LoggedTransaction& t = history.transactions[first - 1];
    if (history.copies.size() + t.copies > most_copies) break;
    --first;
    const auto index = static_cast<uint32_t>(first);
    const TransactionVisitor visitor = {
        .copy =
            [&](const Tag& tag, uint32_t log_block) {
              if (!fs.geometry.contains(BlockNo(tag.block))) return;
              const uint32_t checksum = journal.super.csum_v2_or_v3() ? tag.checksum : 0;
              history.copies.push_back({BlockNo(tag.block), log_block, index, checksum, (tag.flags & kTagEscaped) != 0, false});
            },
        .revoke = [&](uint32_t log_block) { revokes.push_back({log_block, index}); },
    };
    visit_transaction(journal, t, window, visitor);
  }
  history.bounded = first > 0;
  const auto left_out = static_cast<uint32_t>(first);
  history.transactions.erase(history.transactions.begin(), history.transactions.begin() + left_out);
  for (LoggedCopy& copy : history.copies) copy.transaction -= left_out;
  for (RevokeBlock& revoke : revokes) revoke.transaction -= left_out;
  std::ranges::sort(history.copies, {}, [](const LoggedCopy& c) { return std::tuple(c.block, c.transaction, c.log_block); });
  return revokes;  // newest first
}

// Newest record first: where a copy is revoked already, all that are older are too.
void mark_revoked(const Journal& journal, LogWindow& window, const std::vector<RevokeBlock>& revokes, JournalHistory& history) {
  for (const RevokeBlock& revoke : revokes) {
    const Bytes block = window.block(revoke.log_block, 1);
    if (block.empty()) continue;
    for_each_revoked(block, journal.super, [&](uint64_t number) {
      const auto copies = std::ranges::equal_range(history.copies, BlockNo(number), {}, &LoggedCopy::block);
      auto it = std::ranges::upper_bound(copies, revoke.transaction, {}, &LoggedCopy::transaction);
      while (it != copies.begin() && !(--it)->revoked) it->revoked = true;
    });
  }
}

}  // namespace

std::span<const LoggedCopy> JournalHistory::of(BlockNo block) const {
  const auto [first, last] = std::ranges::equal_range(copies, block, {}, &LoggedCopy::block);
  return {first, last};
}

JournalHistory read_history(const Journal& given, const FileSystem& fs, const JournalFacts* recovered, size_t most_copies) {
  JournalHistory history;
  if (!given.facts.usable) return history;
  const Journal journal = as_it_was_used(given, fs);
  uint32_t end = journal.super.sequence;
  if (recovered && recovered->external && recovered->needs_recovery) end = recovered->last_sequence + 2;
  history.transactions = choose_life(chains_of(find_transactions(journal, recovered)), end, made_at(fs));
  LogWindow window(journal);
  const auto revokes = collect(journal, fs, most_copies, window, history);
  mark_revoked(journal, window, revokes, history);
  history.unbroken = find_unbroken(history.transactions, journal.super.first, end);
  return history;
}

Result<void> read_copy(const Journal& journal, const JournalHistory& history, const LoggedCopy& copy, MutableBytes out) {
  if (auto r = journal.log.read(copy.log_block, out); !r) return r;
  const uint32_t sequence = history.transactions[copy.transaction].sequence;
  if (header_of(out)) return std::unexpected(Error{fmt::format("block {} of the journal is no logged block", copy.log_block)});
  if (journal.super.csum_v2_or_v3() && tag_checksum(out, journal.super, sequence) != copy.checksum)
    return std::unexpected(Error{fmt::format("block {} of the journal does not match the checksum of its tag", copy.log_block)});
  if (copy.escaped) put_be32(out, 0, kMagic);
  return {};
}

namespace {

// A block that ends with a CRC32C of its own has, of whatever content, one CRC32C in all: the tag's cannot tell two versions
// of it. So it is with extent blocks and the superblock. (Other checksums within blocks leave 31 bits that tell.)
bool closes_its_checksum(Bytes block) {
  const size_t super = block.size() > kSuperblockOffset ? kSuperblockOffset : 0;
  return load<uint16_t>(block, offsetof(ext3_extent_header, eh_magic)) == EXT3_EXT_MAGIC ||
         load<uint16_t>(block, super + offsetof(ext2_super_block, s_magic)) == EXT2_SUPER_MAGIC;
}

}  // namespace

bool equals_copy(const Journal& journal, const JournalHistory& history, const LoggedCopy& copy, Bytes bytes) {
  if (header_of(bytes).has_value() != copy.escaped) return false;
  std::vector<std::byte> logged;
  if (copy.escaped) {
    logged.assign(bytes.begin(), bytes.end());
    put_be32(logged, 0, 0);
  }
  if (journal.super.has_incompat(kIncompatCsumV3)) {
    const Bytes as_logged = copy.escaped ? Bytes(logged) : bytes;
    if (tag_checksum(as_logged, journal.super, history.transactions[copy.transaction].sequence) != copy.checksum) return false;
    if (!closes_its_checksum(bytes)) return true;
  }
  logged.resize(bytes.size());
  return read_copy(journal, history, copy, logged) && std::ranges::equal(logged, bytes);
}

}  // namespace extscrub
