#include "scan/attribute/xattr_check.h"

#include "scan/filesystem/inode_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace extscrub {

namespace {

constexpr uint32_t kLongestValue = EXT2_XATTR_SIZE_MAX;  // bytes

// Rounded up to 4 bytes, as names and values are stored.
constexpr size_t padded(size_t size) { return (size + EXT2_EXT_ATTR_ROUND) & ~size_t{EXT2_EXT_ATTR_ROUND}; }

// The hash of the name. It was computed with plain char for years, so that it depends on the machine: both are valid.
uint32_t name_hash(Bytes name, bool signed_char) {
  uint32_t hash = 0;
  for (const std::byte b : name) {
    const auto c = std::to_integer<uint8_t>(b);
    hash = hash << 5 ^ hash >> 27 ^ (signed_char ? static_cast<uint32_t>(static_cast<int8_t>(c)) : c);
  }
  return hash;
}

constexpr uint32_t mix(uint32_t hash, uint32_t word) { return hash << 16 ^ hash >> 16 ^ word; }

// e_hash of an entry with its value beside it. `value` is padded.
uint32_t entry_hash(Bytes name, Bytes value, bool signed_char) {
  uint32_t hash = name_hash(name, signed_char);
  for (size_t at = 0; at + 4 <= value.size(); at += 4) hash = mix(hash, load<uint32_t>(value, at));
  return hash;
}

// system.data, whose value has to lie in the inode that it is the contents of.
bool is_inline_data(const EaEntry& e) {
  constexpr std::string_view kData = "data";
  return e.name_index == kSystemIndex && std::ranges::equal(e.name, std::as_bytes(std::span(kData)));
}

// One list of entries under check.
class EaChecker {
 public:
  // `space`: what offsets count from; entries begin at `first`, and `in_block` chooses the rules.
  EaChecker(const FileSystem& fs, const Inode& owner, BlockNo at, Bytes space, size_t first, EaFacts& out)
      : fs_(fs), owner_(owner), at_(at), space_(space), first_(first), in_block_(at.value != 0), out_(out) {}

  void run() {
    size_t at = first_;
    while (at + sizeof(uint32_t) <= space_.size() && load<uint32_t>(space_, at) != 0) {
      if (!take_entry(at)) return;
      at += EXT2_EXT_ATTR_LEN(out_.entries.back().name.size());
    }
    // Four zero bytes end the list; without them a reader would go on into the values.
    if (at + sizeof(uint32_t) > space_.size()) {
      defect(EaDefectKind::name, nullptr).found = "the list of entries has no end";
      return;
    }
    check_overlaps(at + sizeof(uint32_t));
    if (in_block_) check_order();
  }

 private:
  struct Span {
    size_t first, end;
    size_t entry;
  };

  EaDefect& defect(EaDefectKind kind, const EaEntry* entry) {
    EaDefect& d = out_.defects.emplace_back();
    d.kind = kind;
    if (!entry) return d;
    d.entry = static_cast<size_t>(entry - out_.entries.data());
    d.attribute = attribute_name(entry->name_index, entry->name);
    return d;
  }

  // False when no entry behind this one can be found.
  bool take_entry(size_t at) {
    const auto fits = [&](size_t size) { return size <= space_.size() - at; };
    if (!fits(sizeof(ext2_ext_attr_entry)) || !fits(EXT2_EXT_ATTR_LEN(size_t{std::to_integer<uint8_t>(space_[at])}))) {
      defect(EaDefectKind::name, nullptr).found = fmt::format("the entry at offset {} runs over the end", at);
      return false;
    }
    const auto raw = load<ext2_ext_attr_entry>(space_, at);
    EaEntry& e = out_.entries.emplace_back();
    e.name_index = raw.e_name_index;
    e.name = space_.subspan(at + sizeof raw, raw.e_name_len);
    e.value_inode = InodeNo(raw.e_value_inum);
    e.value_size = raw.e_value_size;
    e.hash = raw.e_hash;
    if (in_block_ && raw.e_name_index == 0) defect(EaDefectKind::name, &e).found = "e_name_index is 0";
    // The kernel gives up an inode, or the block, for one.
    if (std::ranges::count(e.name, std::byte{0}))
      defect(EaDefectKind::name, &e).found = fmt::format("the name at offset {} has a NUL in it", at);
    if (raw.e_value_inum != 0)
      check_value_inode(e);
    else
      check_value(e, raw.e_value_offs);
    return true;
  }

  void check_value(EaEntry& e, uint32_t offset) {
    const size_t base = in_block_ ? 0 : first_;
    // The kernel does not ask where an empty value lies; e2fsck does.
    if (e.value_size == 0 && base + offset <= space_.size()) return check_hash(e, {});
    if (e.value_size > kLongestValue || base + offset + padded(e.value_size) > space_.size()) {
      EaDefect& d = defect(EaDefectKind::value_bounds, &e);
      d.found = fmt::format("{} bytes at offset {}", e.value_size, offset);
      d.expected = fmt::format("at most {} bytes", space_.size() - base);
      return;
    }
    e.value = space_.subspan(base + offset, e.value_size);
    spans_.push_back({base + offset, base + offset + padded(e.value_size), out_.entries.size() - 1});
    check_hash(e, space_.subspan(base + offset, padded(e.value_size)));
  }

  void check_hash(const EaEntry& e, Bytes value) {
    // Attributes in inodes had no hash before ea_inode.
    if (!in_block_ && e.hash == 0) return;
    if (is_ea_entry_hash(e.hash, e.name, value)) return;
    EaDefect& d = defect(EaDefectKind::hash, &e);
    d.expected = fmt::format("{:#010x}", ea_entry_hash(e.name, value));
    d.found = fmt::format("{:#010x}", e.hash);
  }

  void check_value_inode(const EaEntry& e) {
    const Geometry& g = fs_.geometry;
    raw_inode_.resize(g.inode_size);
    const auto wrong = [&](std::string what) { defect(EaDefectKind::value_inode, &e).found = std::move(what); };
    if (e.value_inode.value < g.first_inode || e.value_inode.value > g.inodes)
      return wrong(fmt::format("e_value_inum is {}", e.value_inode));
    if (!read_inode(fs_, e.value_inode, raw_inode_)) return wrong(fmt::format("inode {} cannot be read", e.value_inode));
    const Inode value(g, e.value_inode, raw_inode_);
    const Bytes value_hash = bytes_of(value.base().i_atime);
    const bool hash_ok = is_ea_entry_hash(e.hash, e.name, value_hash);
    const bool lustre =
        !hash_ok && value.base().i_mtime == owner_.number().value && value.base().i_generation == owner_.base().i_generation;
    if (!g.has_incompat(EXT4_FEATURE_INCOMPAT_EA_INODE))
      wrong("e_value_inum is set without the feature ea_inode");
    else if (e.value_size == 0 || e.value_size > kLongestValue)
      wrong(fmt::format("e_value_size is {} for a value in inode {}", e.value_size, e.value_inode));
    else if (is_inline_data(e))
      wrong(fmt::format("inline data lies in inode {}", e.value_inode));
    else if (!value.is(EXT4_EA_INODE_FL))
      wrong(fmt::format("inode {} lacks EA_INODE_FL", e.value_inode));
    else if (!hash_ok && !lustre) {
      EaDefect& d = defect(EaDefectKind::hash, &e);
      d.expected = fmt::format("{:#010x}", ea_entry_hash(e.name, value_hash));
      d.found = fmt::format("{:#010x}", e.hash);
    }
    out_.values.push_back({e.value_inode, owner_.number(), at_, e.value_size, lustre});
    const uint64_t cluster = uint64_t{g.block_size} << g.cluster_bits;
    if (!lustre) out_.charged_clusters += (e.value_size + cluster - 1) / cluster;
  }

  void check_overlaps(size_t entries_end) {
    std::ranges::sort(spans_, {}, &Span::first);
    size_t end = entries_end;
    for (const Span& s : spans_) {
      if (s.first < end) {
        EaDefect& d = defect(EaDefectKind::overlap, &out_.entries[s.entry]);
        d.expected = fmt::format("a value behind offset {}", end);
        d.found = fmt::format("offset {}", s.first);
      }
      end = std::max(end, s.end);
    }
  }

  void check_order() {
    for (size_t i = 1; i < out_.entries.size(); ++i)
      if (const EaEntry &a = out_.entries[i - 1], &b = out_.entries[i];
          !ea_entry_before(a.name_index, a.name, b.name_index, b.name)) {
        EaDefect& d = defect(EaDefectKind::order, &out_.entries[i]);
        d.expected = fmt::format("behind {}", attribute_name(out_.entries[i - 1].name_index, out_.entries[i - 1].name));
        return;
      }
  }

  const FileSystem& fs_;
  const Inode& owner_;
  BlockNo at_;
  Bytes space_;
  size_t first_;
  bool in_block_;
  EaFacts& out_;
  std::vector<Span> spans_;
  std::vector<std::byte> raw_inode_;
};

void clear(EaFacts& facts) {
  facts.entries.clear();
  facts.defects.clear();
  facts.values.clear();
  facts.charged_clusters = 0;
}

}  // namespace

const EaEntry* EaFacts::find(uint8_t name_index, std::string_view name) const {
  const auto it = std::ranges::find_if(entries, [&](const EaEntry& e) {
    return e.name_index == name_index && e.name.size() == name.size() &&
           std::memcmp(e.name.data(), name.data(), name.size()) == 0;
  });
  return it == entries.end() ? nullptr : &*it;
}

bool has_inode_attributes(const Geometry& g, const Inode& inode) {
  if (g.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return false;
  const size_t at = EXT2_GOOD_OLD_INODE_SIZE + size_t{inode.large().i_extra_isize};
  return at % 4 == 0 && at + sizeof(uint32_t) < g.inode_size && load<uint32_t>(inode.raw(), at) == EXT2_EXT_ATTR_MAGIC;
}

void check_inode_attributes(const FileSystem& fs, const Inode& inode, EaFacts& out) {
  clear(out);
  if (!has_inode_attributes(fs.geometry, inode)) return;
  const size_t at = EXT2_GOOD_OLD_INODE_SIZE + size_t{inode.large().i_extra_isize} + sizeof(uint32_t);
  EaChecker(fs, inode, BlockNo(), inode.raw(), at, out).run();
}

void check_block_attributes(const FileSystem& fs, const Inode& owner, BlockNo at, Bytes block, EaFacts& out) {
  clear(out);
  EaChecker(fs, owner, at, block, sizeof(ext2_ext_attr_header), out).run();
}

uint32_t ea_entry_hash(Bytes name, Bytes value) { return entry_hash(name, value, false); }

bool is_ea_entry_hash(uint32_t hash, Bytes name, Bytes value) {
  return hash == entry_hash(name, value, false) || hash == entry_hash(name, value, true);
}

bool ea_entry_before(uint8_t index_a, Bytes name_a, uint8_t index_b, Bytes name_b) {
  if (index_a != index_b) return index_a < index_b;
  if (name_a.size() != name_b.size()) return name_a.size() < name_b.size();
  return std::ranges::lexicographical_compare(name_a, name_b);
}

uint32_t ea_block_hash(const std::vector<EaEntry>& entries) {
  uint32_t hash = 0;
  for (const EaEntry& e : entries) {
    if (e.hash == 0) return 0;
    hash = mix(hash, e.hash);
  }
  return hash;
}

std::string attribute_name(uint8_t index, Bytes name) {
  static constexpr const char* kPrefixes[] = {"",
                                              "user.",
                                              "system.posix_acl_access",
                                              "system.posix_acl_default",
                                              "trusted.",
                                              "lustre.",
                                              "security.",
                                              "system.",
                                              "system.richacl",
                                              "encryption.",
                                              "hurd."};
  std::string out = index < std::size(kPrefixes) ? kPrefixes[index] : fmt::format("{}:", index);
  out.append(reinterpret_cast<const char*>(name.data()), name.size());
  return out;
}

}  // namespace extscrub
