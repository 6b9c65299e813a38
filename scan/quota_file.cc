#include "scan/quota_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "scan/file_reader.h"
#include "scan/inode_table.h"

namespace extscrub {

namespace {

constexpr uint32_t kBlock = 1024;       // bytes of a block of the tree
constexpr uint32_t kRoot = 1;           // the tree's first block; block 0 holds the header
constexpr unsigned kDepth = 4;          // levels of the tree: 8 bits of the id each
constexpr uint64_t kSizeMax = 1u << 31;
constexpr size_t kDefectsMax = 100;     // no more are looked for
constexpr uint32_t kMagics[] = {0xd9c01f11, 0xd9c01927, 0xd9c03f14};  // by type

struct Header {
  uint32_t magic, version;
  uint32_t block_grace, inode_grace, flags, blocks, free_block, free_entry;
};

struct BlockHeader {
  uint32_t next_free, prev_free;
  uint16_t entries, pad1;
  uint32_t pad2;
};

// vfsv0: 32-bit limits.
struct EntryR0 {
  uint32_t id, inode_hard, inode_soft, inodes, block_hard, block_soft;
  uint64_t space, block_time, inode_time;
};

// vfsv1.
struct EntryR1 {
  uint32_t id, pad;
  uint64_t inode_hard, inode_soft, inodes, block_hard, block_soft, space, block_time, inode_time;
};
static_assert(sizeof(EntryR0) == 48 && sizeof(EntryR1) == 72 && sizeof(Header) == 32 && sizeof(BlockHeader) == 16);

class QuotaReader {
 public:
  QuotaReader(FileReader& file, QuotaFileFacts& facts) : file_(file), facts_(facts) {}

  void read(uint64_t size) {
    if (!read_header(size)) return;
    facts_.readable = true;
    visited_.assign(header_.blocks, false);
    walk(kRoot, 0, 0);
    std::ranges::sort(facts_.entries, {}, &QuotaEntry::id);
    const auto twice = std::ranges::adjacent_find(facts_.entries, {}, &QuotaEntry::id);
    if (twice != facts_.entries.end()) defect("dqb_id", "", fmt::format("id {} has two entries", twice->id));
  }

 private:
  using Buffer = std::array<std::byte, kBlock>;

  void defect(std::string field, std::string expected, std::string found) {
    if (facts_.defects.size() < kDefectsMax) facts_.defects.push_back({std::move(field), std::move(expected), std::move(found)});
  }

  bool load_block(uint32_t block, Buffer& buffer) {
    auto r = file_.read(uint64_t{block} * kBlock, buffer);
    if (!r) defect("", "", r.error().message);
    return r.has_value();
  }

  bool read_header(uint64_t size) {
    Buffer buffer;
    if (!load_block(0, buffer)) return false;
    header_ = load<Header>(buffer);
    const uint32_t magic = kMagics[static_cast<size_t>(facts_.type)];
    if (header_.magic != magic) {
      defect("dqh_magic", fmt::format("{:#010x}", magic), fmt::format("{:#010x}", header_.magic));
      return false;
    }
    if (header_.version > 1) {
      defect("dqh_version", "0 or 1", fmt::to_string(header_.version));
      return false;
    }
    const uint64_t blocks = (size + kBlock - 1) / kBlock;
    if (size > kSizeMax || header_.blocks > blocks || header_.blocks <= kRoot) {
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
    for (uint32_t i = 0; i < kBlock / sizeof(uint32_t) && facts_.defects.size() < kDefectsMax; ++i) {
      const auto child = load<uint32_t>(buffer, i * sizeof(uint32_t));
      if (child == 0) continue;
      if (child >= header_.blocks) {
        defect("", fmt::format("a block below {}", header_.blocks), fmt::format("block {} of the tree names block {}", block, child));
        continue;
      }
      const uint32_t ids = prefix | i << (8 * (kDepth - 1 - depth));
      if (depth + 1 < kDepth) walk(child, depth + 1, ids);
      else take_id(child, ids);
    }
  }

  // Many ids share a block of entries; each must have its entry there.
  void take_id(uint32_t block, uint32_t id) {
    if (block != entries_block_ && !load_block(entries_block_ = block, entries_)) return;
    if (!visited_[block]) {
      visited_[block] = true;
      take_entries(block);
    }
    if (!holds(id)) defect("dqb_id", fmt::format("an entry for id {}", id), fmt::format("block {} has none", block));
  }

  [[nodiscard]] size_t entry_size() const { return header_.version == 0 ? sizeof(EntryR0) : sizeof(EntryR1); }

  template <class Fn>
  void each_entry(Fn&& fn) const {
    for (size_t at = sizeof(BlockHeader); at + entry_size() <= kBlock; at += entry_size()) {
      const Bytes raw = Bytes(entries_).subspan(at, entry_size());
      if (std::ranges::all_of(raw, [](std::byte b) { return b == std::byte{0}; })) continue;
      if (header_.version == 0) {
        const auto e = load<EntryR0>(raw);
        fn(QuotaEntry{e.id, {e.space, e.inodes}});
      } else {
        const auto e = load<EntryR1>(raw);
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
    const auto header = load<BlockHeader>(entries_);
    uint32_t count = 0;
    each_entry([&](const QuotaEntry& e) { facts_.entries.push_back(e), ++count; });
    if (header.entries != count)
      defect("dqdh_entries", fmt::to_string(count), fmt::format("{} in block {}", header.entries, block));
  }

  FileReader& file_;
  QuotaFileFacts& facts_;
  Header header_{};
  std::vector<bool> visited_;
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
    facts.defects.push_back({quota_field(type), "an inode", r.error().message});
    return facts;
  }
  const Inode inode(fs.geometry, facts.inode, raw);
  if (inode.type() != FileType::regular || !inode.has_block_map() || inode.base().i_links_count == 0) {
    facts.defects.push_back({"i_mode", "a regular file in use", fmt::format("{}, {} links", name(inode.type()), inode.base().i_links_count)});
    return facts;
  }
  FileReader file(fs, inode);
  if (!file.sound()) return facts;  // the map's defects are reported with the inode
  QuotaReader(file, facts).read(inode.size());
  return facts;
}

}  // namespace extscrub
