// What a commit is going to write, made of what is asked for, and all buffers that this takes.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "writeback/commit/before_images.h"
#include "writeback/commit/old_bytes.h"
#include "writeback/commit/prepare_log.h"
#include "writeback/commit/refusals.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

namespace {

uint64_t room_behind(uint64_t size, uint64_t offset) { return size > offset ? size - offset : 0; }

Checked check_blocks(const CommitRequest& request, const ImageShape& shape) {
  const uint64_t block_count = (shape.image.length + shape.block_size - 1) / shape.block_size;
  const StagedBlock* last = nullptr;
  for (const StagedBlock& staged : request.blocks) {
    if (staged.block.value >= block_count) return refuse(RefusalReason::block_behind_end, staged.block, EINVAL);
    if ((last != nullptr && staged.block <= last->block) || staged.before.size() != shape.block_size ||
        staged.after.size() != shape.block_size)
      return refuse(RefusalReason::block_not_whole, staged.block, EINVAL);
    last = &staged;
  }
  return {};
}

Checked check_request(const CommitRequest& request, const ImageShape& shape, uint64_t device_size) {
  const uint32_t block_size = request.block_size;
  if (!std::has_single_bit(block_size) || block_size < 1024 || block_size > 65536)
    return refuse(RefusalReason::block_size, EINVAL, {fmt::format("{}", block_size)});
  if (request.file_size && *request.file_size != device_size) return refuse_resized(*request.file_size, device_size, EIO);
  if (shape.image.length < kSuperblockOffset + kSuperblockSize) return refuse(RefusalReason::ends_before_superblock, EINVAL);
  if (const auto checked = check_blocks(request, shape); !checked) return checked;
  if (!request.waves.empty() && request.waves.size() != request.blocks.size()) return refuse(RefusalReason::no_order, EINVAL);
  if (request.journal_superblock && request.journal_superblock->value >= shape.image.length / block_size)
    return refuse(RefusalReason::journal_behind_end, EINVAL);
  return {};
}

void find_held_blocks(Prepared& p) {
  const CommitRequest& request = p.request;
  const auto journal = p.through ? request.journal->superblock : request.journal_superblock;
  if (journal && *journal != p.superblock.block())
    p.journal.emplace(*journal, p.shape.extent_of(*journal), p.shape, BufferKind::journal_superblock);
  if (request.mmp) p.mmp.emplace(request.mmp->block, p.shape.extent_of(request.mmp->block), p.shape, std::nullopt);
}

// The superblock goes out by itself, and so does the block that holds nothing else that changes: block 1 with blocks
// of 1024 bytes, block 0 of others when only the superblock inside it differs.
bool changes_superblock_only(const StagedBlock& staged, size_t inside) {
  const auto same = [&](size_t begin, size_t length) {
    return std::ranges::equal(staged.before.subspan(begin, length), staged.after.subspan(begin, length));
  };
  const size_t behind = inside + kSuperblockSize;
  return same(0, inside) && same(behind, staged.after.size() - behind);
}

// Null when the block goes to its place with others.
HeldBlock* held_by(Prepared& p, const StagedBlock& staged) {
  if (p.mmp && staged.block == p.mmp->block()) return &*p.mmp;
  if (p.journal && staged.block == p.journal->block()) return &*p.journal;
  const bool alone = staged.block == p.superblock.block() && changes_superblock_only(staged, superblock_inside(p.request));
  return alone ? &p.superblock : nullptr;
}

// With the superblock as it is going to be, whatever is staged around it.
CommitBlock with_final_superblock(CommitBlock block, const CommitRequest& request) {
  std::vector<std::byte> bytes(block.bytes.after.begin(), block.bytes.after.end());
  std::ranges::copy(request.final_superblock, bytes.begin() + static_cast<std::ptrdiff_t>(superblock_inside(request)));
  block.receipt.after_hash = receipt_hash(bytes);
  return block;
}

// Where the journal has all of it, or nothing says which is which, all goes out at once.
void order_blocks(Prepared& p) {
  const CommitRequest& request = p.request;
  const bool ordered = !p.through && !request.waves.empty();
  for (const WriteWave wave : {WriteWave::fresh, WriteWave::pointers, WriteWave::last}) {
    WriteSet set(BufferKind::block);
    for (size_t i = 0; i < request.blocks.size(); ++i) {
      if ((ordered ? request.waves[i] : WriteWave::last) != wave) continue;
      CommitBlock block = make_commit_block(request.blocks[i], BufferKind::block);
      if (block.bytes.block == p.superblock.block()) block = with_final_superblock(std::move(block), request);
      if (HeldBlock* held = held_by(p, request.blocks[i]))
        held->staged = std::move(block);
      else
        set.add(std::move(block));
    }
    if (set.blocks().empty()) continue;
    set.plan(p.shape);
    p.waves.push_back(std::move(set));
  }
  p.log.plan(p.shape);
}

// For the longest of all writes.
void make_buffers(Prepared& p, WriteDevice& device) {
  uint64_t longest = p.request.block_size, count = 0;
  p.for_each_held([&](const HeldBlock& held) { longest = std::max(longest, held.piece().extent.length); });
  p.for_each_set([&](const WriteSet& set) {
    count += set.pieces().size();
    for (const Piece& piece : set.pieces()) longest = std::max(longest, piece.extent.length);
  });
  p.scratch = AlignedBuffer(longest);
  p.expected = AlignedBuffer(longest);
  const std::vector<Extent> saved = extents_to_save(p);
  const uint64_t span = saved.back().end() - saved.front().at;  // of all that is read
  p.reads =
      std::make_unique<ReadAhead>(device, std::max(longest, std::min(span, kMaxPiece)), std::max<size_t>(saved.size(), count));
}

}  // namespace

bool Prepared::replay_due() {
  return journal && needs_recovery(superblock.superblock()) && is_sound_journal_superblock(journal->superblock());
}

std::vector<Receipt> Prepared::receipts() {
  std::vector<Receipt> all;
  for_each_block([&](const CommitBlock& block) { all.push_back(block.receipt); });
  std::ranges::sort(all, {}, &Receipt::block);
  return all;
}

std::expected<Prepared, Refusal> prepare(const CommitRequest& request, WriteDevice& device, CommitReport& report) {
  const ImageShape shape{{request.offset, room_behind(device.size(), request.offset)}, request.block_size, device.alignment()};
  if (const auto checked = check_request(request, shape, device.size()); !checked) return std::unexpected(checked.error());
  Prepared prepared{.request = request,
                    .shape = shape,
                    .superblock = HeldBlock(superblock_block(request), {shape.image.at + kSuperblockOffset, kSuperblockSize},
                                            shape, BufferKind::superblock)};
  if (const auto made = prepare_log(prepared, device, report); !made) return std::unexpected(made.error());
  find_held_blocks(prepared);
  order_blocks(prepared);
  make_buffers(prepared, device);
  if (const auto read = read_before_images(prepared, device); !read) return std::unexpected(read.error());
  return prepared;
}

}  // namespace extscrub
