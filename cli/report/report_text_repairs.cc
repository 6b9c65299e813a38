// The repairs of the text report.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "cli/report/text_writer.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

void write_loss(TextWriter& w, const Loss& loss) {
  std::vector<std::string> places;
  if (loss.inode) places.push_back(fmt::format("inode {}", loss.inode));
  if (!loss.path.empty()) places.push_back(escape(loss.path));
  if (loss.bytes) places.push_back(fmt::format("bytes {}-{}", loss.bytes->first, loss.bytes->end - 1));
  w.print("  loss    {}: {} ({})\n", places.empty() ? "file system" : fmt::format("{}", fmt::join(places, ", ")),
          escape(loss.what), info(loss.problem).code);
}

// Without `verbose` the first of them, and how many more there are of each problem.
void write_losses(TextWriter& w, const std::vector<Loss>& losses, bool verbose) {
  constexpr size_t kMost = 20;
  const size_t shown = verbose || losses.size() <= kMost + 1 ? losses.size() : kMost;
  std::map<std::string_view, size_t> left;
  for (size_t i = 0; i < losses.size(); ++i) {
    if (i < shown)
      write_loss(w, losses[i]);
    else
      ++left[info(losses[i].problem).code];
  }
  if (!left.empty())
    w.print("  loss    {} more ({}): --verbose, --affected and --format=json have all\n", losses.size() - shown,
            fmt::join(codes_of(left), ", "));
}

void write_changes(TextWriter& w, const std::vector<BlockChange>& blocks, bool verbose) {
  constexpr size_t kMost = 20;
  const size_t shown = verbose || blocks.size() <= kMost + 1 ? blocks.size() : kMost;
  for (size_t i = 0; i < shown; ++i) {
    const BlockChange& change = blocks[i];
    w.print("  would write block {}{}: {} -> {}\n", change.block, change.what.empty() ? "" : " (" + change.what + ")",
            change.before, change.after);
  }
  if (shown < blocks.size())
    w.print("  would write {} more: --verbose and --format=json have all\n", counted(blocks.size() - shown, "block"));
}

// "block 7: 0a1b2c3d -> 4e5f6071, written, durable by flush 2, read back"
void write_receipt(TextWriter& w, const Receipt& r) {
  constexpr std::array<std::string_view, 5> kKinds{"block", "block of the log", "journal superblock in block",
                                                   "superblock in block", "error mark in block"};
  w.print("  receipt {} {}: {:016x} -> {:016x}", kKinds[static_cast<size_t>(r.kind)], r.block, r.before_hash, r.after_hash);
  if (!r.submitted) {
    w.print(", not submitted\n");
    return;
  }
  w.print("{}", r.completed ? ", written" : ", submitted");
  if (r.flush != 0) w.print(", durable by flush {}", r.flush);
  if (r.error != 0) w.print(", failed: {}", std::strerror(r.error));
  w.print("{}\n", r.read_back ? ", read back" : "");
}

// What became of every buffer of a commit that did not come to its end: the failed ones first.
void write_receipts(TextWriter& w, const CommitReport& c, bool verbose) {
  if (c.outcome != CommitOutcome::errored && c.outcome != CommitOutcome::cancelled) return;
  constexpr size_t kMost = 40;
  std::vector<const Receipt*> receipts;
  for (const auto* each : {&c.superblock_receipts, &c.receipts})
    for (const Receipt& receipt : *each) receipts.push_back(&receipt);
  std::ranges::stable_partition(receipts, [](const Receipt* r) { return r->error != 0; });
  const size_t shown = verbose ? receipts.size() : std::min(receipts.size(), kMost);
  for (size_t i = 0; i < shown; ++i) write_receipt(w, *receipts[i]);
  if (shown < receipts.size())
    w.print("  {} more: --verbose and --format=json have all\n", counted(receipts.size() - shown, "receipt"));
}

std::string way_of(bool journal, std::string_view why_direct) {
  if (journal) return "as one transaction of the journal";
  return fmt::format("in place{}", why_direct.empty() ? "" : fmt::format(", not through the journal: {}", why_direct));
}

}  // namespace

void write_repairs(TextWriter& w, const ImageReport& image, bool verbose) {
  if (!image.repairs) return;
  write_losses(w, image.repairs->losses, verbose);
  if (image.repairs->dry_run) write_changes(w, image.repairs->blocks, verbose);
  if (image.repairs->dry_run && image.repairs->way)
    w.print("  they would be written {}\n", way_of(image.repairs->way->journal, image.repairs->way->why_direct));
  if (image.writeback) write_receipts(w, *image.writeback, verbose);
  if (image.writeback && image.writeback->outcome == CommitOutcome::committed)
    w.print("  {} written, flushed and read back; {}\n", counted(image.writeback->blocks_written, "block"),
            way_of(image.writeback->through_journal, image.writeback->why_direct));
  if (image.writeback && image.writeback->undo == UndoLogState::kept)
    w.print("  what was there before is kept: `{}` puts it back\n", escape(undo_command(image)));
}

}  // namespace extscrub
