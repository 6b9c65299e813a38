#include "writeback/undo/undo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>

#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

namespace {

CommitReport refused_for(RefusalReason reason, const Error& error) {
  return refused({.reason = reason, .error = error.code, .why = error});
}

// What the image has and what the log has in its place, a key after the other, in whole blocks.
struct OldBytes {
  std::deque<std::vector<std::byte>> buffers;  // what `blocks` has its bytes in
  std::vector<StagedBlock> blocks;             // those that differ
  std::optional<BlockNo> journal_superblock;
  std::optional<BlockNo> foreign;  // the first that has neither what the log has nor what its commit wrote
  SuperblockCopy superblock_now{}, superblock{};
};

// Copies what of the superblock lies in `old`, bytes of the file system from `at` on.
void take_superblock(SuperblockCopy& superblock, uint64_t at, Bytes old) {
  const uint64_t begin = std::max(at, kSuperblockOffset);
  const uint64_t end = std::min(at + old.size(), kSuperblockOffset + kSuperblockSize);
  if (begin < end) std::memcpy(superblock.data() + (begin - kSuperblockOffset), old.data() + (begin - at), end - begin);
}

bool is_journal(Bytes block) { return is_journal_superblock(block.first<kSuperblockSize>()); }

// The log has the journal's superblock when its commit had to write it. A file may hold the like of one: what is a
// journal's superblock before and after is preferred.
void look_for_journal(OldBytes& all, BlockNo block, Bytes now, Bytes old, bool& sure) {
  if (sure || !(is_journal(now) || is_journal(old))) return;
  sure = is_journal(now) && is_journal(old);
  if (sure || !all.journal_superblock) all.journal_superblock = block;
}

// Reads both sides. Error: one of them cannot be read, or the log belongs to a longer image.
Result<OldBytes> read_both(const UndoLog& log, WriteDevice& device) {
  const uint64_t block_size = log.block_size();
  const uint64_t length = device.size() > log.offset() ? device.size() - log.offset() : 0;
  if (length < kSuperblockOffset + kSuperblockSize) return std::unexpected(Error{"it ends before its superblock does"});
  const auto unreadable = [](uint64_t at, int error) {
    return std::unexpected(system_error(fmt::format("cannot read its bytes from {} on", at), error));
  };
  OldBytes all;
  const uint64_t superblock_at = log.offset() + kSuperblockOffset;
  if (const int error = read_fully(device, superblock_at, all.superblock_now)) return unreadable(superblock_at, error);
  all.superblock = all.superblock_now;

  bool sure_of_journal = false;
  for (const UndoKey& key : log.keys()) {
    const uint64_t at = key.block * block_size;
    if (at > length || key.size > length - at)
      return std::unexpected(Error{fmt::format("it ends before block {}, which the undo log has old bytes of", key.block)});
    const uint64_t blocks = (key.size + block_size - 1) / block_size;
    auto& now = all.buffers.emplace_back(blocks * block_size);
    const MutableBytes there = MutableBytes(now).first(std::min(blocks * block_size, length - at));
    if (const int error = read_fully(device, log.offset() + at, there)) return unreadable(log.offset() + at, error);
    auto& old = all.buffers.emplace_back(now);
    const MutableBytes saved = MutableBytes(old).first(key.size);
    if (auto read = log.read(key, saved); !read) return std::unexpected(read.error());
    take_superblock(all.superblock, at, saved);

    for (uint64_t i = 0; i < blocks; ++i) {
      const BlockNo block(key.block + i);
      const Bytes before = Bytes(now).subspan(i * block_size, block_size);
      const Bytes after = Bytes(old).subspan(i * block_size, block_size);
      look_for_journal(all, block, before, after, sure_of_journal);
      if (std::ranges::equal(before, after)) continue;
      all.blocks.push_back({block, before, after});
      const uint64_t wrote = log.after(key, i);
      const uint64_t inside = std::min(block_size, there.size() - i * block_size);
      if (wrote != 0 && receipt_hash(before.first(inside)) != wrote && !all.foreign) all.foreign = block;
    }
  }
  return all;
}

// Durable, too: an undo that was killed may have left bytes in the device's cache.
CommitReport flushed(CommitReport report, WriteDevice& device) {
  ++report.flushes;
  const int error = device.flush();
  if (error == 0) return report;
  report.outcome = CommitOutcome::errored;
  report.cause = Failure{CommitStep::flush, {}, error, 1};
  report.left = WhatIsLeft::not_durable;
  return report;
}

}  // namespace

bool is_superblock_of(const SuperblockCopy& now, const SuperblockCopy& before, const SuperblockCopy& expected) {
  constexpr size_t kSector = 512;  // what a power cut leaves whole
  SuperblockCopy a = now, b = before, c = expected;
  for (SuperblockCopy* each : {&a, &b, &c}) blank_commit_fields(*each);
  for (size_t at = 0; at < kSuperblockSize; at += kSector) {
    const auto same = [&](const SuperblockCopy& other) {
      return std::equal(a.begin() + static_cast<std::ptrdiff_t>(at), a.begin() + static_cast<std::ptrdiff_t>(at + kSector),
                        other.begin() + static_cast<std::ptrdiff_t>(at));
    };
    if (!same(b) && !same(c)) return false;
  }
  return true;
}

namespace {

// Why it is not certain that the log belongs to the image as it is now; nothing when it does.
std::optional<Refusal> doubt_of(const UndoLog& log, const OldBytes& all) {
  const auto doubt = [](RefusalReason reason, std::optional<BlockNo> block = {}) {
    return Refusal{.reason = reason, .block = block};
  };
  if (!log.finished()) return doubt(RefusalReason::log_unfinished);
  if (!is_superblock_of(all.superblock_now, all.superblock, log.expected_superblock())) return doubt(RefusalReason::not_expected);
  // A commit that came to its end left nothing half written.
  if (all.foreign && all.superblock_now == log.expected_superblock()) return doubt(RefusalReason::block_foreign, all.foreign);
  return std::nullopt;
}

}  // namespace

CommitReport undo_on(const UndoRequest& request, const UndoLog& log, WriteDevice& device, WriteQueue& queue) {
  auto all = read_both(log, device);
  if (!all) return refused_for(RefusalReason::log_unusable, all.error());

  const std::optional<Refusal> doubt = doubt_of(log, *all);
  if (doubt && !request.force) return refused(*doubt);

  CommitRequest commit;
  commit.path = request.image;
  commit.offset = log.offset();
  commit.block_size = log.block_size();
  commit.blocks = std::move(all->blocks);
  commit.final_superblock = all->superblock;
  // An unsound one calls nothing clean; to seal it would make it look sound.
  if (doubt && is_sound_superblock(commit.final_superblock)) arm_superblock(commit.final_superblock);
  commit.journal_superblock = all->journal_superblock;
  commit.drops_log = true;  // half of the old bytes would be under it
  commit.mmp = request.mmp;
  commit.progress = request.progress;
  commit.waits = request.waits;
  CommitReport report = commit_on(commit, device, queue);
  return report.outcome == CommitOutcome::nothing_to_do ? flushed(std::move(report), device) : report;
}

namespace {

// What the log's commit found; where it saved nothing of it, `now`.
std::optional<SuperblockCopy> old_superblock(const UndoLog& log, const SuperblockCopy& now) {
  SuperblockCopy superblock = now;
  for (const UndoKey& key : log.keys()) {
    const uint64_t at = key.block * log.block_size();
    if (at >= kSuperblockOffset + kSuperblockSize || at + key.size <= kSuperblockOffset) continue;
    std::vector<std::byte> old(key.size);
    if (!log.read(key, old)) return std::nullopt;
    take_superblock(superblock, at, old);
  }
  return superblock;
}

// The commit has begun to write, and its last superblock is not there.
bool is_unfinished(const UndoLog& log, uint64_t offset, const SuperblockCopy& now) {
  if (!log.finished() || log.offset() != offset || now == log.expected_superblock()) return false;
  const auto before = old_superblock(log, now);
  return before && now != *before && is_superblock_of(now, *before, log.expected_superblock());
}

}  // namespace

std::vector<std::filesystem::path> find_unfinished_undo_logs(const std::filesystem::path& path,
                                                             const std::filesystem::path& opened, uint64_t offset) {
  std::vector<std::filesystem::path> found;
  const std::filesystem::path prefix = undo_prefix(path);
  const std::filesystem::path folder = prefix.has_parent_path() ? prefix.parent_path() : ".";
  SuperblockCopy now{};
  const auto image = Image::open(opened, offset);
  if (!image || !image->read(kSuperblockOffset, now) || says_clean(now)) return found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (!entry.path().filename().native().starts_with(prefix.filename().native()) || !entry.is_regular_file(none)) continue;
    if (const auto log = UndoLog::open(entry.path()); log && is_unfinished(*log, offset, now))
      found.push_back(prefix.has_parent_path() ? entry.path() : entry.path().filename());
  }
  std::ranges::sort(found, std::greater());
  return found;
}

CommitReport undo(const UndoRequest& request, const ImageLock& /*lock*/) {
  try {
    const auto log = UndoLog::open(request.log);
    if (!log) return refused_for(RefusalReason::log_unusable, log.error());
    const auto device = open_write_device(request.opened.empty() ? request.image : request.opened, request.file);
    if (!device) return refused_for(RefusalReason::not_opened, device.error());
    const auto queue = make_queue(request.queue, **device);
    if (!queue) return refused_for(RefusalReason::no_queue, queue.error());
    return undo_on(request, *log, **device, **queue);
  } catch (const std::exception&) {
    return refused({.reason = RefusalReason::no_memory, .error = ENOMEM});
  }
}

}  // namespace extscrub
