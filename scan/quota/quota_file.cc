#include "scan/quota/quota_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "scan/filesystem/inode_table.h"
#include "scan/format/quota_format.h"
#include "scan/map/file_reader.h"

namespace extscrub {

namespace {

constexpr size_t kDefectsMax = 100;  // no more are looked for

class QuotaReader {
 public:
  QuotaReader(FileReader& file, QuotaFileFacts& facts) : file_(file), facts_(facts) {}

  void read(uint64_t size) {
    if (!read_header(size)) return;
    facts_.readable = true;
    visited_.assign(header_.blocks, false);
    leaves_ = visited_;
    walk(kQuotaRoot, 0, 0);
    check_free_lists();
    std::ranges::sort(facts_.entries, {}, &QuotaEntry::id);
    const auto twice = std::ranges::adjacent_find(facts_.entries, {}, &QuotaEntry::id);
    if (twice != facts_.entries.end()) defect("dqb_id", "", fmt::format("id {} has two entries", twice->id));
  }

 private:
  using Buffer = std::array<std::byte, kQuotaBlock>;

  void defect(std::string field, std::string expected, std::string found) {
    if (facts_.defects.size() < kDefectsMax) facts_.defects.push_back({std::move(field), std::move(expected), std::move(found)});
  }

  bool load_block(uint32_t block, Buffer& buffer) {
    auto r = file_.read(uint64_t{block} * kQuotaBlock, buffer);
    if (!r) defect("", "", text_of(r.error()));
    return r.has_value();
  }

  bool read_header(uint64_t size) {
    Buffer buffer;
    if (!load_block(0, buffer)) return false;
    header_ = load<QuotaHeader>(buffer);
    const uint32_t magic = kQuotaMagics[static_cast<size_t>(facts_.type)];
    if (header_.magic != magic) {
      defect("dqh_magic", fmt::format("{:#010x}", magic), fmt::format("{:#010x}", header_.magic));
      return false;
    }
    if (header_.version > 1) {
      defect("dqh_version", "0 or 1", fmt::to_string(header_.version));
      return false;
    }
    const uint64_t blocks = (size + kQuotaBlock - 1) / kQuotaBlock;
    if (size > kQuotaSizeMax || header_.blocks > blocks || header_.blocks <= kQuotaRoot) {
      defect("dqi_blocks", fmt::format("2 to {}", blocks), fmt::to_string(header_.blocks));
      return false;
    }
    if (header_.free_block >= header_.blocks)
      defect("dqi_free_blk", fmt::format("less than {}", header_.blocks), fmt::to_string(header_.free_block));
    if (header_.free_entry >= header_.blocks)
      defect("dqi_free_entry", fmt::format("less than {}", header_.blocks), fmt::to_string(header_.free_entry));
    return facts_.defects.empty();
  }

  // `prefix`: the bits of the ids below this block that the way to it has fixed.
  void walk(uint32_t block, unsigned depth, uint32_t prefix) {
    if (visited_[block]) return defect("", "", fmt::format("block {} of the tree is reached twice", block));
    visited_[block] = true;
    Buffer buffer;
    if (!load_block(block, buffer)) return;
    for (uint32_t i = 0; i < kQuotaBlock / sizeof(uint32_t) && facts_.defects.size() < kDefectsMax; ++i) {
      const auto child = load<uint32_t>(buffer, i * sizeof(uint32_t));
      if (child == 0) continue;
      if (child >= header_.blocks) {
        defect("", fmt::format("a block below {}", header_.blocks),
               fmt::format("block {} of the tree names block {}", block, child));
        continue;
      }
      const uint32_t ids = prefix | i << (8 * (kQuotaDepth - 1 - depth));
      if (depth + 1 < kQuotaDepth)
        walk(child, depth + 1, ids);
      else
        take_id(child, ids);
    }
  }

  // The kernel writes into the first block of either list when an id is new.
  void check_free_lists() {
    if (!facts_.defects.empty()) return;  // not all of the tree is known
    if (header_.free_entry != 0 && !leaves_[header_.free_entry])
      defect("dqi_free_entry", "a block of entries", fmt::format("block {}, which is none", header_.free_entry));
    Buffer buffer;
    for (uint32_t block = header_.free_block; block != 0;) {
      if (block >= header_.blocks || visited_[block])
        return defect("dqi_free_blk", "a list of blocks that nothing uses", fmt::format("block {} in it", block));
      visited_[block] = true;
      if (!load_block(block, buffer)) return;
      block = load<QuotaBlockHeader>(buffer).next_free;
    }
  }

  // Many ids share a block of entries; each must have its entry there.
  void take_id(uint32_t block, uint32_t id) {
    if (block != entries_block_ && !load_block(entries_block_ = block, entries_)) return;
    if (!visited_[block]) {
      visited_[block] = leaves_[block] = true;
      take_entries(block);
    }
    if (!holds(id)) defect("dqb_id", fmt::format("an entry for id {}", id), fmt::format("block {} has none", block));
  }

  [[nodiscard]] size_t entry_size() const { return header_.version == 0 ? sizeof(QuotaEntryR0) : sizeof(QuotaEntryR1); }

  template <class Fn>
  void each_entry(Fn&& fn) const {
    for (size_t at = sizeof(QuotaBlockHeader); at + entry_size() <= kQuotaBlock; at += entry_size()) {
      const Bytes raw = Bytes(entries_).subspan(at, entry_size());
      if (std::ranges::all_of(raw, [](std::byte b) { return b == std::byte{0}; })) continue;
      if (header_.version == 0) {
        const auto e = load<QuotaEntryR0>(raw);
        fn(QuotaEntry{e.id, {e.space, e.inodes}});
      } else {
        const auto e = load<QuotaEntryR1>(raw);
        fn(QuotaEntry{e.id, {e.space, e.inodes}});
      }
    }
  }

  [[nodiscard]] bool holds(uint32_t id) const {
    bool found = false;
    each_entry([&](const QuotaEntry& e) { found |= e.id == id; });
    return found;
  }

  void take_entries(uint32_t block) {
    const auto header = load<QuotaBlockHeader>(entries_);
    uint32_t count = 0;
    each_entry([&](const QuotaEntry& e) { facts_.entries.push_back(e), ++count; });
    if (header.next_free >= header_.blocks || header.prev_free >= header_.blocks)
      defect("dqdh_next_free", fmt::format("less than {}", header_.blocks),
             fmt::format("{} and {} in block {}", header.next_free, header.prev_free, block));
    if (header.entries != count)
      defect("dqdh_entries", fmt::to_string(count), fmt::format("{} in block {}", header.entries, block));
  }

  FileReader& file_;
  QuotaFileFacts& facts_;
  QuotaHeader header_{};
  std::vector<bool> visited_, leaves_;  // by block; those of the tree, and those of entries in it
  Buffer entries_{};
  uint32_t entries_block_ = 0;
};

}  // namespace

QuotaFileFacts read_quota_file(const FileSystem& fs, QuotaType type) {
  QuotaFileFacts facts;
  facts.type = type;
  facts.inode = quota_inode(fs, type);
  std::vector<std::byte> raw(fs.geometry.inode_size);
  if (auto r = read_inode(fs, facts.inode, raw); !r) {
    facts.defects.push_back({quota_field(type), "an inode", text_of(r.error())});
    return facts;
  }
  const Inode inode(fs.geometry, facts.inode, raw);
  if (inode.type() != FileType::regular || !inode.has_block_map() || inode.base().i_links_count == 0) {
    facts.defects.push_back(
        {"i_mode", "a regular file in use", fmt::format("{}, {} links", name(inode.type()), inode.base().i_links_count)});
    return facts;
  }
  FileReader file(fs, inode);
  if (!file.sound()) return facts;  // the map's defects are reported with the inode
  QuotaReader(file, facts).read(inode.size());
  return facts;
}

}  // namespace extscrub
