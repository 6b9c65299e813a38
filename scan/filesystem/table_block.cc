#include "scan/filesystem/table_block.h"

#include <algorithm>
#include <limits>

#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/reserved_inodes.h"
#include "scan/format/checksum.h"
#include "scan/format/inode.h"

namespace extscrub {

namespace {

constexpr int64_t kSecond = 1'000'000'000;  // nanoseconds

Inode inode_at(const FileSystem& fs, const TableBlock& place, Bytes block, uint32_t i) {
  const uint32_t size = fs.geometry.inode_size;
  return {fs.geometry, place.first + i, block.subspan(size_t{i} * size, size)};
}

// When something happened, as exactly as it is stored. Nanoseconds since 1970.
struct Moment {
  int64_t earliest = std::numeric_limits<int64_t>::min(), latest = std::numeric_limits<int64_t>::min();
};

// i_*time and i_*time_extra: two bits of epoch, 30 of nanoseconds.
Moment moment(uint32_t seconds, const uint32_t* extra) {
  const int64_t base = static_cast<int32_t>(seconds);
  if (!extra) return {base * kSecond, base * kSecond + kSecond - 1};
  const int64_t exact = (base + (int64_t{*extra & EXT4_EPOCH_MASK} << 32)) * kSecond + (*extra >> EXT4_EPOCH_BITS);
  return {exact, exact};
}

Moment changed(const Inode& inode) {
  const ext2_inode_large& l = inode.large();
  const bool exact = inode.has_extra(offsetof(ext2_inode_large, i_ctime_extra) + sizeof l.i_ctime_extra);
  return moment(inode.base().i_ctime, exact ? &l.i_ctime_extra : nullptr);
}

// Nothing where the inode does not say.
std::optional<Moment> made(const Inode& inode) {
  const ext2_inode_large& l = inode.large();
  if (!inode.has_extra(offsetof(ext2_inode_large, i_crtime_extra) + sizeof l.i_crtime_extra) || l.i_crtime == 0) return {};
  return moment(l.i_crtime, &l.i_crtime_extra);
}

// What happened to it last. On the orphan list i_dtime is no time, but the number of an inode.
Moment last_event(const FileSystem& fs, const Inode& inode) {
  if (inode.is_blank()) return {};
  Moment last = changed(inode);
  if (const auto birth = made(inode); birth && birth->latest > last.latest) last = *birth;
  const uint32_t deleted = inode.base().i_dtime;
  if (inode.base().i_links_count == 0 && deleted > fs.geometry.inodes) {
    const Moment end = moment(deleted, nullptr);
    last = {std::max(last.earliest, end.earliest), std::max(last.latest, end.latest)};
  }
  return last;
}

// i_ctime of another second with the same part of one: only who sets the seconds by hand leaves that.
bool is_edited_time(const Inode& a, const Inode& b) {
  if (!a.has_extra(offsetof(ext2_inode_large, i_ctime_extra) + sizeof(uint32_t))) return false;
  const uint32_t part = a.large().i_ctime_extra >> EXT4_EPOCH_BITS;
  return part != 0 && part == b.large().i_ctime_extra >> EXT4_EPOCH_BITS && a.base().i_ctime != b.base().i_ctime;
}

// One inode keeps i_generation and i_crtime as long as it lives; the next one of that number is made when it is gone.
bool can_become(const FileSystem& fs, const Inode& was, const Inode& is) {
  const auto first = made(was), second = made(is);
  if (!first || !second) return true;
  if (was.base().i_generation == is.base().i_generation) return first->earliest == second->earliest;
  return second->latest >= last_event(fs, was).earliest;
}

enum class But : uint8_t { access, times };

// Whether they are the same but for the time of the last access, or for all times.
bool same(const Inode& a, const Inode& b, But but) {
  if (std::ranges::equal(a.raw(), b.raw())) return true;
  const auto without = [=](const Inode& inode) {
    std::vector<std::byte> raw(inode.raw().begin(), inode.raw().end());
    const MutableBytes bytes(raw);
    const auto clear = [&](size_t offset) {
      if (offset < sizeof(ext2_inode) || inode.has_extra(offset + sizeof(uint32_t))) store(bytes, offset, uint32_t{0});
    };
    clear(offsetof(ext2_inode, i_atime));
    clear(offsetof(ext2_inode_large, i_atime_extra));
    store(bytes, offsetof(ext2_inode, osd2.linux2.l_i_checksum_lo), uint16_t{0});
    if (inode.has_extra(offsetof(ext2_inode_large, i_checksum_hi) + sizeof(uint16_t)))
      store(bytes, offsetof(ext2_inode_large, i_checksum_hi), uint16_t{0});
    if (but == But::times)
      for (const size_t offset : {offsetof(ext2_inode, i_ctime), offsetof(ext2_inode, i_mtime),
                                  offsetof(ext2_inode_large, i_ctime_extra), offsetof(ext2_inode_large, i_mtime_extra)})
        clear(offset);
    return raw;
  };
  return without(a) == without(b);
}

// Without parts of a second, a time that somebody has set cannot be told from one that was.
bool only_seconds_tell(const Inode& a, const Inode& b) {
  return !a.has_extra(offsetof(ext2_inode_large, i_ctime_extra) + sizeof(uint32_t)) && same(a, b, But::times);
}

}  // namespace

std::optional<TableBlock> find_table_block(const FileSystem& fs, BlockNo block) {
  const Geometry& g = fs.geometry;
  const MetadataExtent* extent = fs.metadata.find(block);
  if (!extent || extent->kind != MetadataKind::inode_table) return {};
  const uint32_t per_block = g.block_size / g.inode_size;
  const auto index = static_cast<uint32_t>(block - fs.groups[extent->group.value].inode_table) * per_block;
  if (index >= g.inodes_per_group) return {};
  return TableBlock{g.group_first_inode(extent->group) + index, std::min(per_block, g.inodes_per_group - index)};
}

bool is_sound(const FileSystem& fs, const TableBlock& place, Bytes block) {
  const Geometry& g = fs.geometry;
  for (uint32_t i = 0; i < place.count; ++i) {
    const Inode inode = inode_at(fs, place, block, i);
    if (g.metadata_csum()) {
      if (!inode.is_blank() && !fits_inode_checksum(g, inode.number(), inode.raw())) return false;
    } else if (!inode.is_blank() && !is_reserved(g, inode.number()) &&
               (!may_be_inode(g, inode) || holds_more_than_inode(g, inode) ||
                (inode.base().i_links_count > 0 && inode.type() == FileType::none))) {
      return false;
    }
  }
  return true;
}

std::optional<BlockNo> find_home(const FileSystem& fs, const TableBlock& place, Bytes block) {
  const Geometry& g = fs.geometry;
  std::optional<BlockNo> home;
  for (uint32_t i = 0; i < place.count; ++i) {
    const Inode inode = inode_at(fs, place, block, i);
    // Of 16 bits no number follows: they are held against what the others say.
    if (inode.is_blank() || !has_checksum_hi(g, inode.raw())) continue;
    const InodeNo sealed = sealed_inode_number(g, inode.raw());
    if (!g.valid_inode(sealed) || sealed == inode.number()) return {};
    const InodePlace at = place_of(fs, sealed);
    if (at.offset != i * g.inode_size || (home && *home != at.block)) return {};
    home = at.block;
  }
  const auto there = home ? find_table_block(fs, *home) : std::nullopt;
  if (!there || !is_sound(fs, *there, block)) return {};
  return home;
}

std::vector<InodeNo> differing_inodes(const FileSystem& fs, const TableBlock& place, Bytes a, Bytes b) {
  std::vector<InodeNo> inodes;
  for (uint32_t i = 0; i < place.count; ++i)
    if (!same(inode_at(fs, place, a, i), inode_at(fs, place, b, i), But::access)) inodes.push_back(place.first + i);
  return inodes;
}

bool is_older(const FileSystem& fs, const TableBlock& place, Bytes old, Bytes fresh, const WriteTime& written) {
  int64_t known = std::numeric_limits<int64_t>::min();  // the old version is of then, or later
  for (uint32_t i = 0; i < place.count; ++i) known = std::max(known, last_event(fs, inode_at(fs, place, old, i)).earliest);
  if (known > written.known) return false;
  const auto cannot_be = [&](const Moment& m) {
    return m.latest < known || (m.earliest > written.known && m.latest < written.begin);
  };
  bool older = false;
  for (const InodeNo ino : differing_inodes(fs, place, old, fresh)) {
    const Inode was = inode_at(fs, place, old, ino - place.first), is = inode_at(fs, place, fresh, ino - place.first);
    const bool both = !was.is_blank() && !is.is_blank();
    // A write may reach the inode in two transactions, with one time, and an editor may leave the time as it is: that tells
    // nothing either way.
    if (both && changed(was).earliest == changed(is).earliest) continue;
    if (both && only_seconds_tell(was, is)) continue;
    if (cannot_be(last_event(fs, is))) return false;
    if (both && (is_edited_time(was, is) || !can_become(fs, was, is))) return false;
    // Then it was there already, and should be in the old version.
    if (const auto birth = made(is); was.is_blank() && birth && cannot_be(*birth)) return false;
    older = true;
  }
  return older;
}

bool is_made_since(const Inode& inode, int64_t time) {
  const auto birth = made(inode);
  return birth && birth->earliest > time;
}

}  // namespace extscrub
