#include "writeback/commit/before_images.h"

#include <algorithm>

#include "writeback/commit/refusals.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

namespace {

bool equal(Bytes a, Bytes b) { return std::ranges::equal(a, b); }

Checked read_pieces(Prepared& p, WriteSet& set) {
  std::vector<Piece*> wanted;
  std::vector<Extent> extents;
  for (Piece& piece : set.pieces()) {
    if (p.request.undo && piece.whole) continue;
    wanted.push_back(&piece);
    extents.push_back(piece.extent);
  }
  p.reads->begin(std::move(extents));
  for (Piece* piece : wanted) {
    const auto [extent, error, bytes] = p.reads->next();
    if (error != 0) return refuse(RefusalReason::unreadable, p.block_of_byte(extent.at), error);
    if (const auto compared = compare_before(p, extent, bytes); !compared) return compared;
    if (!piece->whole) piece->base.assign(bytes.begin(), bytes.end());
  }
  return {};
}

Checked load_held(Prepared& p, HeldBlock& held, WriteDevice& device) {
  const int error = held.load_from(device, p.scratch.bytes());
  if (error != 0) return refuse(RefusalReason::unreadable, p.block_of_byte(held.piece().extent.at), error);
  return {};
}

Checked compare_staged(Prepared& p, const CommitBlock& block, WriteDevice& device) {
  const Extent extent = p.shape.extent_of(block.bytes.block);
  const MutableBytes bytes = p.scratch.first(extent.length);
  if (const int error = read_fully(device, extent.at, bytes)) return refuse(RefusalReason::unreadable, block.bytes.block, error);
  return compare_before(p, extent, bytes);
}

// By number, as they lie on the device.
Checked compare_held(Prepared& p, WriteDevice& device) {
  std::vector<const CommitBlock*> staged;
  p.for_each_held([&](const HeldBlock& held) {
    if (held.staged) staged.push_back(&*held.staged);
  });
  std::ranges::sort(staged, {}, [](const CommitBlock* block) { return block->bytes.block; });
  for (const CommitBlock* block : staged)
    if (const auto compared = compare_staged(p, *block, device); !compared) return compared;
  return {};
}

// Not staged, and nobody will replay it: then it is no business of this commit.
Checked settle_journal(Prepared& p) {
  if (!p.journal) return {};
  if (!p.through && !p.journal->staged && !p.replay_due()) {
    p.journal.reset();
    return {};
  }
  p.journal_before.assign(p.journal->truth().begin(), p.journal->truth().end());
  if (p.through && !equal(p.journal_before, p.request.journal->superblock_bytes))
    return refuse(RefusalReason::changed, p.journal->block());
  return {};
}

Checked load_all_held(Prepared& p, WriteDevice& device) {
  if (const auto loaded = load_held(p, p.superblock, device); !loaded) return loaded;
  if (p.journal)
    if (const auto loaded = load_held(p, *p.journal, device); !loaded) return loaded;
  // Whatever is staged rests on it.
  if (p.request.audited_superblock && !equal(p.superblock.truth(), *p.request.audited_superblock))
    return refuse(RefusalReason::changed, p.superblock.block());
  if (!p.mmp) return {};
  if (const auto loaded = load_held(p, *p.mmp, device); !loaded) return loaded;
  // Whoever uses the file system by now has written into the block.
  if (!equal(p.mmp->truth(), p.request.mmp->before)) return refuse(RefusalReason::changed, p.mmp->block());
  return {};
}

}  // namespace

Checked read_before_images(Prepared& p, WriteDevice& device) {
  for (WriteSet& wave : p.waves)
    if (const auto read = read_pieces(p, wave); !read) return read;
  if (const auto read = read_pieces(p, p.log); !read) return read;
  if (const auto compared = compare_held(p, device); !compared) return compared;
  if (const auto loaded = load_all_held(p, device); !loaded) return loaded;
  return settle_journal(p);
}

Checked compare_before(Prepared& p, Extent read, Bytes bytes) {
  std::optional<BlockNo> changed;
  const auto compare = [&](CommitBlock& block) {
    const Extent extent = p.shape.extent_of(block.bytes.block);
    if (extent.at < read.at || extent.end() > read.end()) return;
    const Bytes is = bytes.subspan(extent.at - read.at, extent.length);
    if (block.receipt.kind == BufferKind::log)
      block.receipt.before_hash = receipt_hash(is);
    else if (!equal(is, block.bytes.before.first(extent.length)))
      changed = std::min(changed.value_or(block.bytes.block), block.bytes.block);
  };
  p.for_each_set([&](WriteSet& set) {
    std::vector<CommitBlock>& blocks = set.blocks();
    for (size_t i = set.first_at(read.at, p.shape); i < blocks.size() && p.shape.extent_of(blocks[i].bytes.block).at < read.end();
         ++i)
      compare(blocks[i]);
  });
  p.for_each_held([&](HeldBlock& held) {
    if (held.staged) compare(*held.staged);
  });
  if (changed) return refuse(RefusalReason::changed, *changed);
  return {};
}

bool mmp_is_as_seen(Prepared& p, WriteDevice& device) {
  if (!p.mmp) return true;
  const MutableBytes now = p.scratch.first(p.mmp->extent().length);
  return read_fully(device, p.mmp->extent().at, now) == 0 && equal(now, p.request.mmp->before);
}

}  // namespace extscrub
