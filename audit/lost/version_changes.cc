#include "audit/lost/version_changes.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

#include "scan/format/dir_block.h"
#include "scan/format/inode.h"

namespace extscrub {

namespace {

enum class Form : uint8_t { number, octal, hex, time, bytes };

struct Field {
  std::string_view name;
  size_t offset = 0, size = 0;
  Form form = Form::number;
  size_t extra = 0;  // of a time: where its nanoseconds and the upper bits of its seconds are; 0: nowhere
};

#define FIELD(Struct, member, form) {#member, offsetof(Struct, member), sizeof(Struct::member), Form::form}

constexpr Field kInodeFields[] = {
    FIELD(ext2_inode_large, i_mode, octal),
    FIELD(ext2_inode_large, i_uid, number),
    FIELD(ext2_inode_large, i_size, number),
    {"i_atime", offsetof(ext2_inode_large, i_atime), 4, Form::time, offsetof(ext2_inode_large, i_atime_extra)},
    {"i_ctime", offsetof(ext2_inode_large, i_ctime), 4, Form::time, offsetof(ext2_inode_large, i_ctime_extra)},
    {"i_mtime", offsetof(ext2_inode_large, i_mtime), 4, Form::time, offsetof(ext2_inode_large, i_mtime_extra)},
    FIELD(ext2_inode_large, i_dtime, time),
    FIELD(ext2_inode_large, i_gid, number),
    FIELD(ext2_inode_large, i_links_count, number),
    FIELD(ext2_inode_large, i_blocks, number),
    FIELD(ext2_inode_large, i_flags, hex),
    {"i_version", offsetof(ext2_inode_large, osd1), 4, Form::number},
    FIELD(ext2_inode_large, i_block, bytes),
    FIELD(ext2_inode_large, i_generation, hex),
    FIELD(ext2_inode_large, i_file_acl, number),
    FIELD(ext2_inode_large, i_size_high, number),
    {"i_blocks_hi", offsetof(ext2_inode_large, osd2), 2, Form::number},
    {"i_file_acl_hi", offsetof(ext2_inode_large, osd2) + 2, 2, Form::number},
    {"i_uid_hi", offsetof(ext2_inode_large, osd2) + 4, 2, Form::number},
    {"i_gid_hi", offsetof(ext2_inode_large, osd2) + 6, 2, Form::number},
    {"i_checksum_lo", offsetof(ext2_inode_large, osd2) + 8, 2, Form::hex},
    FIELD(ext2_inode_large, i_extra_isize, number),
    FIELD(ext2_inode_large, i_checksum_hi, hex),
    {"i_crtime", offsetof(ext2_inode_large, i_crtime), 4, Form::time, offsetof(ext2_inode_large, i_crtime_extra)},
    FIELD(ext2_inode_large, i_version_hi, number),
    FIELD(ext2_inode_large, i_projid, number),
};

constexpr Field kDescriptorFields[] = {
    FIELD(ext4_group_desc, bg_block_bitmap, number),
    FIELD(ext4_group_desc, bg_inode_bitmap, number),
    FIELD(ext4_group_desc, bg_inode_table, number),
    FIELD(ext4_group_desc, bg_free_blocks_count, number),
    FIELD(ext4_group_desc, bg_free_inodes_count, number),
    FIELD(ext4_group_desc, bg_used_dirs_count, number),
    FIELD(ext4_group_desc, bg_flags, hex),
    FIELD(ext4_group_desc, bg_exclude_bitmap_lo, number),
    FIELD(ext4_group_desc, bg_block_bitmap_csum_lo, hex),
    FIELD(ext4_group_desc, bg_inode_bitmap_csum_lo, hex),
    FIELD(ext4_group_desc, bg_itable_unused, number),
    FIELD(ext4_group_desc, bg_checksum, hex),
    FIELD(ext4_group_desc, bg_block_bitmap_hi, number),
    FIELD(ext4_group_desc, bg_inode_bitmap_hi, number),
    FIELD(ext4_group_desc, bg_inode_table_hi, number),
    FIELD(ext4_group_desc, bg_free_blocks_count_hi, number),
    FIELD(ext4_group_desc, bg_free_inodes_count_hi, number),
    FIELD(ext4_group_desc, bg_used_dirs_count_hi, number),
    FIELD(ext4_group_desc, bg_itable_unused_hi, number),
    FIELD(ext4_group_desc, bg_exclude_bitmap_hi, number),
    FIELD(ext4_group_desc, bg_block_bitmap_csum_hi, hex),
    FIELD(ext4_group_desc, bg_inode_bitmap_csum_hi, hex),
    FIELD(ext4_group_desc, bg_reserved, hex),
};

// Those that a mount, a commit or an error changes.
constexpr Field kSuperFields[] = {
    FIELD(ext2_super_block, s_free_blocks_count, number),
    FIELD(ext2_super_block, s_free_inodes_count, number),
    FIELD(ext2_super_block, s_mtime, time),
    FIELD(ext2_super_block, s_wtime, time),
    FIELD(ext2_super_block, s_mnt_count, number),
    FIELD(ext2_super_block, s_state, hex),
    FIELD(ext2_super_block, s_lastcheck, time),
    FIELD(ext2_super_block, s_feature_compat, hex),
    FIELD(ext2_super_block, s_feature_incompat, hex),
    FIELD(ext2_super_block, s_feature_ro_compat, hex),
    FIELD(ext2_super_block, s_last_mounted, bytes),
    FIELD(ext2_super_block, s_last_orphan, number),
    FIELD(ext2_super_block, s_free_blocks_hi, number),
    FIELD(ext2_super_block, s_kbytes_written, number),
    FIELD(ext2_super_block, s_error_count, number),
    FIELD(ext2_super_block, s_checksum, hex),
};

#undef FIELD

uint64_t number_at(Bytes bytes, size_t at, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, std::min(size, sizeof value));
  return value;
}

std::string time_at(Bytes bytes, const Field& field) {
  auto seconds = int64_t{load<int32_t>(bytes, field.offset)};
  if (field.extra == 0 && seconds == 0) return "0";
  std::string fraction;
  if (field.extra != 0) {
    const auto extra = load<uint32_t>(bytes, field.extra);
    seconds += int64_t{extra & 3} << 32;
    fraction = fmt::format(".{:09}", extra >> 2);
  }
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}{}Z", fmt::gmtime(static_cast<std::time_t>(seconds)), fraction);
}

std::string text_of(Bytes bytes, const Field& field) {
  const uint64_t value = number_at(bytes, field.offset, field.size);
  switch (field.form) {
    case Form::octal: return fmt::format("{:#o}", value);
    case Form::hex: return fmt::format("{:#x}", value);
    case Form::bytes:
      return fmt::format("{:02x}",
                         fmt::join(std::span(reinterpret_cast<const uint8_t*>(bytes.data()) + field.offset, field.size), ""));
    case Form::time: return time_at(bytes, field);
    case Form::number: return fmt::to_string(value);
  }
  return {};
}

size_t differing(Bytes before, Bytes after) {
  size_t count = 0;
  for (size_t i = 0; i < before.size(); ++i) count += before[i] != after[i];
  return count;
}

// The fields that differ, then how many bytes do that are none of them.
void compare_fields(std::span<const Field> fields, Bytes before, Bytes after, const std::string& prefix,
                    std::vector<VersionChange>& changes) {
  size_t left = differing(before, after);
  for (const Field& field : fields) {
    if (field.offset + field.size > before.size()) continue;
    size_t differ = differing(before.subspan(field.offset, field.size), after.subspan(field.offset, field.size));
    if (field.extra != 0) differ += differing(before.subspan(field.extra, 4), after.subspan(field.extra, 4));
    if (differ == 0) continue;
    left -= differ;
    changes.push_back({fmt::format("{}{}", prefix, field.name), text_of(before, field), text_of(after, field)});
  }
  if (left > 0) changes.push_back({prefix + "other bytes", "", fmt::to_string(left)});
}

// Structures of `size` bytes, one behind the other, of which `name` knows what they are called.
template <class Name>
void compare_table(std::span<const Field> fields, Bytes before, Bytes after, size_t size, Name name,
                   std::vector<VersionChange>& changes) {
  for (size_t i = 0; (i + 1) * size <= before.size(); ++i) {
    const Bytes a = before.subspan(i * size, size), b = after.subspan(i * size, size);
    if (!std::ranges::equal(a, b)) compare_fields(fields, a, b, name(i), changes);
  }
}

void compare_bits(Bytes before, Bytes after, std::vector<VersionChange>& changes) {
  size_t set = 0, cleared = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const auto a = std::to_integer<uint8_t>(before[i]), b = std::to_integer<uint8_t>(after[i]);
    set += static_cast<size_t>(std::popcount(static_cast<uint8_t>(b & ~a)));
    cleared += static_cast<size_t>(std::popcount(static_cast<uint8_t>(a & ~b)));
  }
  if (set > 0) changes.push_back({"bits set", "", fmt::to_string(set)});
  if (cleared > 0) changes.push_back({"bits cleared", "", fmt::to_string(cleared)});
}

// Nothing where the block does not hold entries from its begin to its end.
std::optional<std::map<std::string, InodeNo>> names_in(Bytes block) {
  std::map<std::string, InodeNo> names;
  EntryWalk walk(block, static_cast<uint32_t>(block.size()));
  while (const auto entry = walk.next())
    if (entry->inode) names.emplace(entry->name, entry->inode);
  if (walk.broken()) return std::nullopt;
  return names;
}

bool compare_names(Bytes before, Bytes after, std::vector<VersionChange>& changes) {
  const auto a = names_in(before), b = names_in(after);
  if (!a || !b) return false;
  const auto inode_of = [](const std::map<std::string, InodeNo>& names, const std::string& name) {
    const auto it = names.find(name);
    return it == names.end() ? std::string() : fmt::format("inode {}", it->second);
  };
  std::map<std::string, InodeNo> all = *a;
  all.insert(b->begin(), b->end());
  for (const auto& each : all) {
    VersionChange change{"name " + each.first, inode_of(*a, each.first), inode_of(*b, each.first)};
    if (change.before != change.after) changes.push_back(std::move(change));
  }
  return true;
}

}  // namespace

std::vector<VersionChange> changes_of_inode(const FileSystem& fs, InodeNo ino, Bytes before, Bytes after) {
  const Inode newer(fs.geometry, ino, after);
  std::vector<Field> fields;
  for (Field field : kInodeFields) {
    // Where i_extra_isize does not reach, attributes are.
    const size_t end = field.offset + field.size;
    if (end > EXT2_GOOD_OLD_INODE_SIZE && !newer.has_extra(end)) continue;
    if (!newer.has_extra(field.extra + 4)) field.extra = 0;
    fields.push_back(field);
  }
  std::vector<VersionChange> changes;
  compare_fields(fields, before, after, fmt::format("inode {}: ", ino), changes);
  return changes;
}

std::vector<VersionChange> changes_of(const FileSystem& fs, BlockNo block, const MetadataExtent* kind, Bytes before,
                                      Bytes after) {
  const Geometry& g = fs.geometry;
  std::vector<VersionChange> changes;
  if (std::ranges::equal(before, after)) return changes;
  if (kind && kind->kind == MetadataKind::inode_table) {
    const size_t size = g.inode_size;
    const auto first = g.group_first_inode(kind->group) + static_cast<uint32_t>((block - kind->first) * (g.block_size / size));
    for (size_t i = 0; (i + 1) * size <= before.size(); ++i) {
      const Bytes a = before.subspan(i * size, size), b = after.subspan(i * size, size);
      if (!std::ranges::equal(a, b))
        std::ranges::move(changes_of_inode(fs, first + static_cast<uint32_t>(i), a, b), std::back_inserter(changes));
    }
  } else if (kind && kind->kind == MetadataKind::descriptors) {
    const uint64_t first = (block - kind->first) * (g.block_size / g.desc_size);
    const bool primary = kind->group.value == 0;  // of others it is not said here which groups they describe
    compare_table(
        kDescriptorFields, before, after, g.desc_size,
        [=](size_t i) { return fmt::format("{} {}: ", primary ? "group" : "descriptor", first + i); }, changes);
  } else if (kind && (kind->kind == MetadataKind::block_bitmap || kind->kind == MetadataKind::inode_bitmap)) {
    compare_bits(before, after, changes);
  } else if (kind && kind->kind == MetadataKind::superblock) {
    const size_t at = kind->group.value == 0 && g.block_size > kSuperblockOffset ? kSuperblockOffset : 0;
    compare_fields(kSuperFields, before.subspan(at, kSuperblockSize), after.subspan(at, kSuperblockSize), "", changes);
  } else if (!kind) {
    compare_names(before, after, changes);
  }
  if (changes.empty()) changes.push_back({"bytes", "", fmt::to_string(differing(before, after))});
  return changes;
}

}  // namespace extscrub
