// Inline data whose attribute system.data is missing, or does not fit i_size; and encrypted inodes without a policy.
// What i_block holds stays; a flag that nothing in the inode bears out goes.
#include <fmt/format.h>

#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/repair/repair.h"
#include "audit/stage/attribute_list.h"
#include "scan/map/symlink.h"

namespace extscrub {

namespace {

constexpr uint64_t kInBlockArea = sizeof(ext2_inode::i_block);  // bytes of inline data in i_block

void store_size(MutableBytes raw, uint64_t size) {
  store(raw, offsetof(ext2_inode, i_size), static_cast<uint32_t>(size));
  store(raw, offsetof(ext2_inode, i_size_high), static_cast<uint32_t>(size >> 32));
}

// i_extra_isize may be what was lost: then the attributes still begin where one of its usual values puts them. Without any
// the inode gets the fields that a new one has.
void restore_extra_isize(const Geometry& g, MutableBytes raw) {
  constexpr size_t kUsual[] = {28, 32};
  if (g.inode_size < sizeof(ext2_inode_large) || load<uint16_t>(raw, offsetof(ext2_inode_large, i_extra_isize)) != 0) return;
  const MutableBytes extra = raw.subspan(EXT2_GOOD_OLD_INODE_SIZE);
  for (const size_t size : kUsual)
    if (size + sizeof(uint32_t) <= extra.size() && load<uint32_t>(extra, size) == EXT2_EXT_ATTR_MAGIC)
      return store(extra, 0, static_cast<uint16_t>(size));
  std::ranges::fill(extra, std::byte{0});
  store(extra, 0, static_cast<uint16_t>(sizeof(ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE));
}

// Adds the attribute system.data without a value: all there is lies in i_block. False: there is no room.
bool add_data_attribute(const FileSystem& fs, InodeNo ino, MutableBytes raw) {
  const Geometry& g = fs.geometry;
  if (g.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return false;
  const size_t magic = EXT2_GOOD_OLD_INODE_SIZE + size_t{load<uint16_t>(raw, offsetof(ext2_inode_large, i_extra_isize))};
  if (magic == EXT2_GOOD_OLD_INODE_SIZE || magic % 4 != 0 || magic + 2 * sizeof(uint32_t) > g.inode_size) return false;
  EaFacts facts;
  check_inode_attributes(fs, Inode(g, ino, raw), facts);
  if (!facts.defects.empty()) return false;
  std::vector<Attribute> all = believed_attributes(facts, {}, false).kept;
  Attribute& data = all.emplace_back();
  data.name_index = kSystemIndex;
  const Bytes name = std::as_bytes(std::span("data", 4));
  data.name.assign(name.begin(), name.end());
  std::vector<std::byte> packed(raw.begin() + static_cast<ptrdiff_t>(magic + sizeof(uint32_t)), raw.end());
  if (pack_attributes(packed, 0, 0, all) < all.size()) return false;
  store(raw, magic, uint32_t{EXT2_EXT_ATTR_MAGIC});
  std::ranges::copy(packed, raw.subspan(magic + sizeof(uint32_t)).begin());
  return true;
}

class InlineDataRepair {
 public:
  explicit InlineDataRepair(RepairRound& round) : round_(round) {}

  Result<void> repair(const Finding& f) {
    const InodeNo ino = *f.inode;
    auto r = change_inode(round_, ino, [&](MutableBytes raw) {
      const Inode inode(round_.geometry(), ino, raw);
      if (!inode.is(EXT4_INLINE_DATA_FL)) return;
      restore_extra_isize(round_.geometry(), raw);
      EaFacts facts;
      check_inode_attributes(round_.fs(), inode, facts);
      const uint64_t size = inline_data_size(inode, &facts);
      if (size == 0)
        without_attribute(f, inode, raw);
      else if (inode.type() == FileType::directory)
        store_size(raw, size);
    });
    round_.stale = true;
    return r;
  }

 private:
  void without_attribute(const Finding& f, const Inode& inode, MutableBytes raw) {
    const uint64_t size = inode.size();
    const auto lose_behind = [&](uint64_t kept, std::string what) {
      if (size > kept) round_.lose(f, std::move(what), ByteRange{kept, size});
    };
    if (round_.geometry().extents() && looks_like_extents(inode)) return set_flags(inode, raw, EXT4_EXTENTS_FL);
    const bool blank = inode.block_area_is_blank();
    // A target that lies in i_block needs no attribute.
    if (inode.type() == FileType::symlink && size < kInBlockArea && !blank) return set_flags(inode, raw, 0);
    if (inode.type() == FileType::directory ? !blank : !blank && size > 0)
      if (add_data_attribute(round_.fs(), inode.number(), raw)) {
        lose_behind(kInBlockArea, "inline data cut");
        return store_size(raw, inode.type() == FileType::directory ? kInBlockArea : std::min(size, kInBlockArea));
      }
    lose_behind(0, "inline data cleared");
    store_size(raw, 0);
    std::ranges::fill(raw.subspan(offsetof(ext2_inode, i_block), kInBlockArea), std::byte{0});
    set_flags(inode, raw, 0);
  }

  static void set_flags(const Inode& inode, MutableBytes raw, uint32_t set) {
    store(raw, offsetof(ext2_inode, i_flags), (inode.base().i_flags & ~uint32_t{EXT4_INLINE_DATA_FL}) | set);
  }

  RepairRound& round_;
};

}  // namespace

Result<size_t> repair_inline_data(RepairRound& round) {
  size_t answered = 0;
  InlineDataRepair inline_data(round);
  for (Finding& f : round.findings.of(Pass::inline_data)) {
    if (!f.inode || !round.may(f.problem)) continue;
    Result<void> r;
    if (f.problem == Problem::inline_data) {
      r = inline_data.repair(f);
    } else {
      r = change_inode_base(round, *f.inode, [](ext2_inode& base) { base.i_flags &= ~uint32_t{EXT4_ENCRYPT_FL}; });
      round.lose(f, "flag of encryption cleared: the policy is not known");
      round.stale = true;
    }
    if (!r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

}  // namespace extscrub
