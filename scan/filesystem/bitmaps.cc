#include "scan/filesystem/bitmaps.h"

#include <algorithm>
#include <bit>

#include "scan/format/checksum.h"

namespace extscrub {

namespace {

uint64_t stored_word(Bytes bitmap, uint32_t index) { return load<uint64_t>(bitmap, size_t{index} * sizeof(uint64_t)); }

uint64_t low_bits(uint32_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }

void add_bits(std::vector<BitRun>& runs, uint32_t base, uint64_t bits) {
  while (bits) {
    const auto first = static_cast<uint32_t>(std::countr_zero(bits));
    const auto count = static_cast<uint32_t>(std::countr_one(bits >> first));
    if (!runs.empty() && runs.back().first + runs.back().count == base + first)
      runs.back().count += count;
    else
      runs.push_back({base + first, count});
    if (first + count >= 64) break;
    bits &= ~low_bits(first + count);
  }
}

uint32_t ones(uint64_t word) {
  // Nearly all are empty or full; and counting bits is a call where the processor's instruction may not be taken for given.
  if (word == 0 || word == ~uint64_t{0}) return word ? 64 : 0;
  return static_cast<uint32_t>(std::popcount(word));
}

// Compares the first `valid` bits, and asks for ones from bit `padding` on, up to the end of the block. A bitmap that is not
// stored (`stored` empty) is all zero, as is one in which nothing was counted.
void compare(std::span<const GroupBits::Word> counted, Bytes stored, uint32_t valid, std::optional<uint32_t> padding,
             BitmapFacts& facts) {
  uint32_t in_use = 0;
  const auto words = static_cast<uint32_t>(std::max(stored.size() / sizeof(uint64_t), counted.size()));
  for (uint32_t i = 0; i < words; ++i) {
    const uint64_t counted_word = i < counted.size() ? counted[i].load(std::memory_order_relaxed) : 0;
    const uint64_t have = (i + 1) * sizeof(uint64_t) <= stored.size() ? stored_word(stored, i) : 0;
    const uint32_t base = i * 64;
    if (counted_word == have && base + 64 <= valid) {
      in_use += ones(have);
      continue;
    }
    const uint64_t mask = base >= valid ? 0 : low_bits(valid - base);
    const uint64_t want = counted_word & mask;
    in_use += ones(want);
    if (const uint64_t diff = (want ^ have) & mask) {
      add_bits(facts.missing, base, diff & want);
      add_bits(facts.stale, base, diff & have);
    }
    if (!padding) continue;
    const uint64_t before = base >= *padding ? 0 : low_bits(*padding - base);
    if ((have | before) != ~uint64_t{0}) facts.padding_ok = false;
  }
  facts.counted_free = valid - in_use;
}

// The block bitmap of an uninitialised group, as the kernel makes it on first use: the group's own metadata, as far as it
// lies in the group.
void make_uninit_block_bitmap(const FileSystem& fs, GroupNo group, MutableBytes out) {
  const Geometry& g = fs.geometry;
  std::ranges::fill(out, std::byte{0});
  const BlockNo base = g.group_first(group);
  const auto mark = [&](BlockNo first, uint64_t count) {
    const BlockNo end = std::min(first + count, base + g.group_blocks(group));
    for (BlockNo b = std::max(first, base); b < end; ++b) {
      const uint64_t bit = (b - base) >> g.cluster_bits;
      out[bit / 8] |= std::byte{1} << bit % 8;
    }
  };
  const GroupDesc& d = fs.groups[group.value];
  mark(g.has_super(group) ? g.super_block(group) : base, g.super_and_desc_blocks(group));
  mark(d.block_bitmap, 1);
  mark(d.inode_bitmap, 1);
  mark(d.inode_table, g.itable_blocks);
}

void verify_checksum(const Geometry& g, Bytes bitmap, uint32_t bits, uint32_t found, BitmapFacts& facts) {
  if (!g.metadata_csum()) return;
  facts.checksum_expected = bitmap_checksum(g, bitmap, bits);
  facts.checksum_found = found;
  facts.checksum_ok = facts.checksum_expected == found;
}

}  // namespace

void prefetch_bitmaps(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  std::vector<BlockNo> blocks;
  for (GroupNo group; group.value < g.groups; ++group) {
    const GroupDesc& d = fs.groups[group.value];
    const auto add = [&](bool uninit, BlockNo at) {
      if (!(g.group_csum() && uninit) && d.readable && valid_location(g, group, at, 1)) blocks.push_back(at);
    };
    add(d.block_uninit(), d.block_bitmap);
    add(d.inode_uninit(), d.inode_bitmap);
  }
  std::ranges::sort(blocks);
  // With flex_bg those of 16 groups lie side by side.
  for (size_t i = 0; i < blocks.size();) {
    size_t end = i + 1;
    while (end < blocks.size() && blocks[end] - blocks[end - 1] <= 1) ++end;
    fs.image->prefetch(blocks[i].value * g.block_size, (blocks[end - 1] - blocks[i] + 1) * g.block_size);
    i = end;
  }
}

InodeBitmap load_inode_bitmap(const FileSystem& fs, GroupNo group) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  InodeBitmap map;
  if (g.group_csum() && d.inode_uninit()) {
    map.uninit = true;
    return map;
  }
  map.located = d.readable && valid_location(g, group, d.inode_bitmap, 1);
  if (!map.located) return map;
  map.bytes = std::make_unique_for_overwrite<std::byte[]>(g.block_size);
  map.readable = fs.blocks->read(d.inode_bitmap, MutableBytes(map.bytes.get(), g.block_size)).has_value();
  if (!map.readable) map.bytes.reset();
  return map;
}

bool lacks_inodes(const FileSystem& fs, GroupNo group) {
  if (!fs.end) return false;
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  if (!d.readable) return fs.is_missing(g.desc_block(group.value / g.desc_per_block, GroupNo()));
  return valid_location(g, group, d.inode_table, g.itable_blocks) && fs.is_missing(d.inode_table + (g.itable_blocks - 1));
}

GroupFacts compare_group(const FileSystem& fs, GroupNo group, const GroupBits& claims, const GroupBits& used,
                         const InodeBitmap& inode_bitmap, MutableBytes block) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  GroupFacts facts;
  facts.group = group;
  const auto clusters = static_cast<uint32_t>(g.clusters(group));

  BitmapFacts& b = facts.blocks;
  b.uninit = g.group_csum() && d.block_uninit();
  b.located = b.uninit || (d.readable && valid_location(g, group, d.block_bitmap, 1));
  if (b.uninit)
    make_uninit_block_bitmap(fs, group, block);
  else if (b.located)
    b.readable = fs.blocks->read(d.block_bitmap, block).has_value();
  if (!b.comparable()) std::ranges::fill(block, std::byte{0xFF});
  if (b.comparable() && !b.uninit) verify_checksum(g, block, g.clusters_per_group, d.block_bitmap_csum, b);
  compare(claims.words(group), block, clusters, b.comparable() && !b.uninit ? std::optional(clusters) : std::nullopt, b);

  BitmapFacts& i = facts.inodes;
  i.uninit = inode_bitmap.uninit;
  i.located = inode_bitmap.located;
  i.readable = inode_bitmap.readable;
  const Bytes stored = inode_bitmap.bytes ? Bytes(inode_bitmap.bytes.get(), g.block_size) : Bytes();
  if (i.comparable() && !i.uninit) verify_checksum(g, stored, g.inodes_per_group, d.inode_bitmap_csum, i);
  // Where a group's inodes end within a byte, nobody agrees on what the rest of that byte holds.
  const uint32_t padding = (g.inodes_per_group + 7) / 8 * 8;
  compare(used.words(group), stored, g.inodes_per_group, i.comparable() && !i.uninit ? std::optional(padding) : std::nullopt, i);

  for (BitmapFacts* f : {&b, &i})
    if (!f->comparable()) f->missing.clear(), f->stale.clear();
  if (lacks_inodes(fs, group)) i.missing.clear(), i.stale.clear();
  return facts;
}

void make_bitmap(const GroupBits& bits, GroupNo group, uint32_t valid_bits, MutableBytes out) {
  std::ranges::fill(out, std::byte{0});
  const auto words = bits.words(group);
  for (uint32_t i = 0; i < out.size() / sizeof(uint64_t); ++i) {
    const uint32_t base = i * 64;
    const uint64_t mask = base >= valid_bits ? 0 : low_bits(valid_bits - base);
    const uint64_t word = words.size() > i ? words[i].load(std::memory_order_relaxed) & mask : 0;
    store(out, size_t{i} * sizeof word, word | ~mask);
  }
}

}  // namespace extscrub
