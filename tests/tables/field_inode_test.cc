// A fault for every field of an inode: of a file, a directory, both kinds of symbolic links and a device.

#include "tests/support/catch.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

constexpr const char* kAnyTime = "any time is right";
constexpr const char* kOwner = "anybody may own a file";
constexpr const char* kHurd = "the Hurd's, or for fragments, which never came: nobody reads it";

// i_block has tables of its own. The last 96 bytes are attributes, which have as well.
std::vector<FieldRow> common_rows() {
  return {
      {"i_uid", 0x02, 2, {1, 0xFFFF}, unseen(kOwner)},
      {"i_atime", 0x08, 4, {0, 1, ~0u}, unseen(kAnyTime)},
      {"i_ctime", 0x0C, 4, {0, 1, ~0u}, unseen(kAnyTime)},
      {"i_mtime", 0x10, 4, {0, 1, ~0u}, unseen(kAnyTime)},
      {"i_dtime", 0x14, 4, {1, 30, 1700000000}, safe(inode_dtime_set)},
      {"i_gid", 0x18, 2, {1, 0xFFFF}, unseen(kOwner)},
      {"osd1 (i_version)", 0x24, 4, {1, ~0u}, unseen("any version will do")},
      {"i_file_acl_lo", 0x68, 4, {1, 3}, lossy(ea_block_header)},
      {"i_file_acl_lo", 0x68, 4, {~0u}, lossy(ea_block_location)},
      {"i_obso_faddr", 0x70, 4, {1, ~0u}, safe(inode_field_nonzero)},
      {"l_i_blocks_high", 0x74, 2, {1, 0xFFFF}, safe(inode_blocks)},
      {"l_i_file_acl_high", 0x76, 2, {1, 0xFFFF}, lossy(ea_block_location)},
      {"l_i_uid_high", 0x78, 2, {1, 0xFFFF}, unseen(kOwner)},
      {"l_i_gid_high", 0x7A, 2, {1, 0xFFFF}, unseen(kOwner)},
      {"l_i_checksum_lo", 0x7C, 2, {flip(1)}, unseen(kSealedAgain)},
      {"l_i_reserved", 0x7E, 2, {1, 0xFFFF}, unseen(kHurd)},
      {"i_checksum_hi", 0x82, 2, {flip(1)}, unseen(kSealedAgain)},
      {"i_ctime_extra", 0x84, 4, {1, ~0u}, unseen(kAnyTime)},
      {"i_mtime_extra", 0x88, 4, {1, ~0u}, unseen(kAnyTime)},
      {"i_atime_extra", 0x8C, 4, {1, ~0u}, unseen(kAnyTime)},
      {"i_crtime", 0x90, 4, {0, ~0u}, unseen(kAnyTime)},
      {"i_crtime_extra", 0x94, 4, {1, ~0u}, unseen(kAnyTime)},
      {"i_version_hi", 0x98, 4, {1, ~0u}, unseen("any version will do")},
      {"i_projid", 0x9C, 4, {1, ~0u}, unseen(kOff)},
  };
}

void check_inode(const char* structure, const char* path, std::vector<FieldRow> rows) {
  static const char* file;
  file = path;
  const auto locate = [](const TestImage& image) { return inode_spot(image, file); };
  const FieldTable table = {structure, 160, small_ext4, locate, seal_spot_inode, {inode_checksum}, {path}};
  for (FieldRow& row : common_rows()) rows.push_back(std::move(row));
  check_fields(table, rows);
}

}  // namespace

TEST_CASE("a fault for every field of a file's inode", "[fields]") {
  check_inode(
      "inode of a file", "/three",
      {{"i_mode", 0x00, 2, {0, 0x01A4, 0x71A4, 0xF1A4}, lossy(inode_mode)},
       {"i_mode: another type", 0x00, 2, {0x41A4, 0xA1A4, 0x21A4, 0x11A4, 0xC1A4, 0x61A4}, lossy(entry_type)},
       {"i_mode: rights", 0x00, 2, {0x8000, 0x8FFF}, unseen("any rights can be given")},
       {"i_size_lo", 0x04, 4, {0, 1}, lossy(inode_size_small)},
       {"i_size_lo", 0x04, 4, {2048, 2049, 3072, 4097, ~0u}, unseen("a file may end behind its last block, or nearly before it")},
       {"i_links_count", 0x1A, 2, {0}, safe(inode_dtime_zero)},
       {"i_links_count", 0x1A, 2, {2, 65000, 0xFFFF}, safe(inode_links)},
       {"i_blocks_lo", 0x1C, 4, {0, add(2), ~0u}, safe(inode_blocks)},
       {"i_flags: that a file cannot have", 0x20, 4, {flip(0x1000), flip(0x10000000)}, lossy(inode_flags)},
       {"i_flags: EXTENTS_FL", 0x20, 4, {flip(0x80000)}, lossy(inode_flags)},
       {"i_flags: HUGE_FILE_FL", 0x20, 4, {flip(0x40000)}, safe(inode_blocks)},
       {"i_flags: EA_INODE_FL", 0x20, 4, {flip(0x200000)}, lossy(inode_flags)},
       {"i_flags: attributes of lsattr",
        0x20,
        4,
        {flip(0x1), flip(0x2), flip(0x8), flip(0x10), flip(0x20), flip(0x40), flip(0x80)},
        unseen("any may be asked for")},
       {"i_block", 0x28, 60, {fill(0), fill(0xFF)}, lossy(extent_header)},
       {"i_generation", 0x64, 4, {add(1), ~0u}, unseen("any will do, sealed again")},
       {"i_size_high", 0x6C, 4, {1}, unseen("a file may end behind its last block")},
       {"i_size_high", 0x6C, 4, {0x80000000, ~0u}, safe_guess(inode_size)},
       {"i_extra_isize", 0x80, 2, {1, 2, 0x21, 0x84, 0xFFFF}, safe(inode_extra_isize)},
       {"i_extra_isize", 0x80, 2, {0x18, 0x1C, 0x80}, unseen("a smaller or larger part may be used")}});
}

TEST_CASE("a fault for every field of a directory's inode", "[fields]") {
  check_inode(
      "inode of a directory", "/dir",
      {{"i_mode", 0x00, 2, {0, 0x01A4, 0x71A4, 0xF1A4}, safe_guess(inode_misplaced_directory)},
       {"i_mode: another type", 0x00, 2, {0x81A4, 0xA1A4, 0x21A4, 0x11A4, 0xC1A4, 0x61A4}, safe_guess(inode_misplaced_directory)},
       {"i_mode: rights", 0x00, 2, {0x4000, 0x4FFF}, unseen("any rights can be given")},
       {"i_size_lo", 0x04, 4, {0, 1, 1023, 2048, ~0u}, safe(inode_size)},
       {"i_links_count", 0x1A, 2, {0}, safe(inode_dtime_zero)},
       {"i_links_count", 0x1A, 2, {1, 2, 4, 65000, 0xFFFF}, safe(inode_links)},
       {"i_blocks_lo", 0x1C, 4, {0, add(2), ~0u}, safe(inode_blocks)},
       {"i_flags: INDEX_FL", 0x20, 4, {flip(0x1000)}, safe(htree_root)},
       {"i_flags: EXTENTS_FL", 0x20, 4, {flip(0x80000)}, lossy(inode_flags)},
       {"i_flags: that a directory cannot have",
        0x20,
        4,
        {flip(0x200000), flip(0x10000000), flip(0x40000000)},
        lossy(inode_flags)},
       {"i_flags: attributes of lsattr",
        0x20,
        4,
        {flip(0x8), flip(0x10), flip(0x20), flip(0x40), flip(0x80), flip(0x10000)},
        unseen("any may be asked for")},
       {"i_block", 0x28, 60, {fill(0), fill(0xFF)}, lossy(extent_header)},
       {"i_generation", 0x64, 4, {add(1), ~0u}, lossy(directory_checksum)},
       {"i_size_high", 0x6C, 4, {1, ~0u}, safe(inode_field_nonzero)},
       {"i_extra_isize", 0x80, 2, {1, 2, 0x21, 0x84, 0xFFFF}, safe(inode_extra_isize)},
       {"i_extra_isize", 0x80, 2, {0x18, 0x1C, 0x80}, unseen("a smaller or larger part may be used")}});
}

TEST_CASE("a fault for every field of a symbolic link's inode", "[fields]") {
  check_inode("inode of a symbolic link", "/link",
              {{"i_mode", 0x00, 2, {0, 0x01A4, 0x71A4, 0xF1A4}, lossy(inode_mode)},
               {"i_mode: another type", 0x00, 2, {0x81A4, 0x41A4}, lossy(entry_type)},
               {"i_mode: another type without a map", 0x00, 2, {0x21A4, 0x11A4, 0xC1A4, 0x61A4}, safe_guess(entry_type)},
               {"i_mode: rights", 0x00, 2, {0xA000, 0xAFFF}, unseen("any rights can be given")},
               {"i_size_lo", 0x04, 4, {0, 1, 4, 6, 59, 1000, ~0u}, lossy(inode_symlink)},
               {"i_links_count", 0x1A, 2, {0}, safe(inode_dtime_zero)},
               {"i_links_count", 0x1A, 2, {2, 0xFFFF}, safe(inode_links)},
               {"i_blocks_lo", 0x1C, 4, {2, ~0u}, safe(inode_blocks)},
               {"i_flags", 0x20, 4, {flip(0x1000), flip(0x10000000)}, lossy(inode_flags)},
               {"i_flags: EXTENTS_FL", 0x20, 4, {flip(0x80000)}, lossy(inode_symlink)},
               {"i_block: the name", 0x28, 60, {fill(0)}, lossy(inode_symlink)},
               {"i_block: the name", 0x28, 4, {0x41414141}, unseen("any target will do")},
               {"i_generation", 0x64, 4, {add(1), ~0u}, unseen("any will do, sealed again")},
               {"i_size_high", 0x6C, 4, {1, ~0u}, lossy(inode_symlink)},
               {"i_extra_isize", 0x80, 2, {1, 2, 0x21, 0x84, 0xFFFF}, safe(inode_extra_isize)},
               {"i_extra_isize", 0x80, 2, {0x18, 0x1C, 0x80}, unseen("a smaller or larger part may be used")}});
}

TEST_CASE("a fault for every field of a device's inode", "[fields]") {
  check_inode("inode of a device", "/device",
              {{"i_mode", 0x00, 2, {0, 0x01A4, 0x71A4, 0xF1A4}, lossy(inode_mode)},
               {"i_mode: another type", 0x00, 2, {0x11A4, 0xC1A4, 0x61A4}, safe_guess(entry_type)},
               {"i_mode: another type", 0x00, 2, {0x81A4}, safe_guess(entry_type)},
               {"i_mode: another type", 0x00, 2, {0x41A4, 0xA1A4}, lossy(entry_type)},
               {"i_mode: rights", 0x00, 2, {0x2001, 0x2FFF}, unseen("any rights can be given")},
               {"i_size_lo", 0x04, 4, {1, ~0u}, safe(inode_special_blocks)},
               {"i_links_count", 0x1A, 2, {0}, safe(inode_dtime_zero)},
               {"i_links_count", 0x1A, 2, {2, 0xFFFF}, safe(inode_links)},
               {"i_blocks_lo", 0x1C, 4, {2, ~0u}, safe(inode_blocks)},
               {"i_flags", 0x20, 4, {flip(0x1000), flip(0x80000), flip(0x10000000)}, lossy(inode_flags)},
               {"i_block: the numbers", 0x28, 8, {0, 0x0105, 0x0105ull << 32}, unseen("any device may be named")},
               {"i_block: behind the numbers", 0x30, 52, {fill(0xFF)}, unseen("nobody reads it")},
               {"i_generation", 0x64, 4, {add(1), ~0u}, unseen("any will do, sealed again")},
               {"i_size_high", 0x6C, 4, {1, ~0u}, safe(inode_special_blocks)},
               {"i_extra_isize", 0x80, 2, {1, 2, 0x21, 0x84, 0xFFFF}, safe(inode_extra_isize)},
               {"i_extra_isize", 0x80, 2, {0x18, 0x1C, 0x80}, unseen("a smaller or larger part may be used")}});
}

}  // namespace extscrub::test
