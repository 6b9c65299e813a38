// Blocks of inode tables: at home or not, older or not. Versions of a block are made by hand.
#include "scan/filesystem/table_block.h"

#include <functional>

#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"
#include "scan/load/load_file_system.h"
#include "tests/support/catch.h"
#include "tests/support/recovered.h"

namespace extscrub::test {

namespace {

constexpr uint32_t kT = 1'800'000'000;  // seconds since 1970

struct Table {
  explicit Table(std::string_view feature_set, uint32_t inode = 21) : test(feature_set), image(test), fs(image.fs) {
    number = place_of(fs, InodeNo(inode)).block;
    place = *find_table_block(fs, number);
  }

  [[nodiscard]] std::vector<std::byte> in_place(BlockNo block) const { return image.block(block.value); }
  [[nodiscard]] std::vector<std::byte> in_place() const { return in_place(number); }

  // A block of four files that were made at kT and changed at kT + 10, whose last access was at kT + 500.
  [[nodiscard]] std::vector<std::byte> files() const {
    std::vector<std::byte> block(fs.geometry.block_size);
    for (uint32_t i = 0; i < place.count; ++i)
      edit(block, i, [](ext2_inode_large& inode) {
        inode.i_mode = 0100644;
        inode.i_links_count = 1;
        inode.i_extra_isize = 32;
        inode.i_generation = 4711;
        inode.i_crtime = inode.i_mtime = kT;
        inode.i_ctime = kT + 10;
        inode.i_atime = kT + 500;
      });
    return block;
  }

  void edit(std::vector<std::byte>& block, uint32_t i, const std::function<void(ext2_inode_large&)>& change) const {
    const uint32_t size = fs.geometry.inode_size;
    const MutableBytes raw = MutableBytes(block).subspan(size_t{i} * size, size);
    ext2_inode_large inode{};
    const size_t known = std::min<size_t>(size, sizeof inode);
    std::memcpy(&inode, raw.data(), known);
    change(inode);
    std::memcpy(raw.data(), &inode, known);
    seal_inode(fs.geometry, place.first + i, raw);
  }
  void clear(std::vector<std::byte>& block, uint32_t i) const {
    std::fill_n(block.begin() + i * fs.geometry.inode_size, fs.geometry.inode_size, std::byte{0});
  }

  [[nodiscard]] bool older(Bytes old, Bytes fresh) const { return is_older(fs, place, old, fresh); }

  TestImage test;
  Recovered image;
  const FileSystem& fs;
  BlockNo number;
  TableBlock place;
};

void change_at(ext2_inode_large& inode, uint32_t seconds, uint32_t nanoseconds = 0) {
  inode.i_size += 100;
  inode.i_mtime = inode.i_ctime = seconds;
  inode.i_ctime_extra = nanoseconds << EXT4_EPOCH_BITS;
}

void delete_at(ext2_inode_large& inode, uint32_t seconds) {
  inode.i_links_count = 0;
  inode.i_ctime = inode.i_dtime = seconds;
}

// Both ways: of two versions only one can be the older.
void check_order(const Table& t, Bytes old, Bytes fresh) {
  CHECK(t.older(old, fresh));
  CHECK_FALSE(t.older(fresh, old));
}

void swap_blocks(const Table& t, BlockNo a, BlockNo b) {
  const auto left = t.in_place(a), right = t.in_place(b);
  t.test.write(t.test.offset(a.value), right);
  t.test.write(t.test.offset(b.value), left);
}

}  // namespace

TEST_CASE("which inodes a block of a table has", "[table]") {
  const Table t("ext4-1k");
  CHECK(t.place.first == InodeNo(21));
  CHECK(t.place.count == 4);
  const BlockNo table = t.fs.groups[1].inode_table;
  const uint32_t per_group = t.fs.geometry.inodes_per_group;
  CHECK(find_table_block(t.fs, table)->first == InodeNo(per_group + 1));
  const uint32_t blocks = per_group / 4;
  CHECK(find_table_block(t.fs, table + (blocks - 1))->first == InodeNo(2 * per_group - 3));
  CHECK_FALSE(find_table_block(t.fs, t.fs.groups[0].inode_bitmap));
  CHECK_FALSE(find_table_block(t.fs, BlockNo(20001)));
}

TEST_CASE("group whose inodes end within a block of its table", "[table]") {
  const Table t("ext4-1k");
  FileSystem fs = *load_superblock(t.image.image, &*t.image.overlay, {});
  load_descriptors(fs);
  const BlockNo last = fs.groups[0].inode_table + (fs.geometry.inodes_per_group / 4 - 1);
  fs.geometry.inodes_per_group -= 2;
  CHECK(find_table_block(fs, last)->count == 2);
  fs.geometry.inodes_per_group -= 2;
  CHECK_FALSE(find_table_block(fs, last));
}

TEST_CASE("blocks of sound tables are sound, and damaged ones are not", "[table]") {
  for (const char* set : {"ext4-1k", "ext4-i128", "ext4-i1024", "ext4-seed", "ext4-4k"}) {
    INFO(set);
    const Table t(set);
    auto block = t.in_place();
    CHECK(is_sound(t.fs, t.place, block));
    CHECK_FALSE(find_home(t.fs, t.place, block));
    block[t.fs.geometry.inode_size - 1] ^= std::byte{1};  // of the first inode
    CHECK_FALSE(is_sound(t.fs, t.place, block));
    CHECK(is_sound(t.fs, t.place, std::vector<std::byte>(t.fs.geometry.block_size)));
  }
}

TEST_CASE("without checksums a block is sound when its inodes may be some", "[table]") {
  const Table t("ext4-plain");
  const auto block = t.in_place();
  CHECK(is_sound(t.fs, t.place, block));
  const Table reserved("ext4-plain", 9);  // such an inode may have a link, and no type
  auto own = reserved.in_place();
  reserved.edit(own, 0, [](ext2_inode_large& inode) { inode.i_mode = 0, inode.i_links_count = 1; });
  CHECK(is_sound(reserved.fs, reserved.place, own));

  const auto sound_with = [&](const std::function<void(ext2_inode_large&)>& change) {
    auto changed = block;
    t.edit(changed, 1, change);
    return is_sound(t.fs, t.place, changed);
  };
  CHECK(sound_with([](ext2_inode_large& inode) { inode.i_links_count = 0; }));
  CHECK_FALSE(sound_with([](ext2_inode_large& inode) { inode.i_mode = 0644; }));
  CHECK_FALSE(sound_with([](ext2_inode_large& inode) { inode.i_mode = 0170644; }));
  CHECK_FALSE(sound_with([](ext2_inode_large& inode) { inode.i_mode = 0; }));
  CHECK_FALSE(sound_with([](ext2_inode_large& inode) { inode.i_faddr = 34; }));
  CHECK_FALSE(sound_with([](ext2_inode_large& inode) { inode.i_mode = 0020644; }));  // a device with contents
  CHECK_FALSE(sound_with([](ext2_inode_large& inode) { inode.i_extra_isize = 31; }));

  // What lies behind the fields is attributes, or nothing.
  auto longer = block;
  const size_t behind = t.fs.geometry.inode_size + EXT2_GOOD_OLD_INODE_SIZE + 32;
  store(MutableBytes(longer), behind, uint16_t{0100644});
  CHECK_FALSE(is_sound(t.fs, t.place, longer));
  store(MutableBytes(longer), behind, uint32_t{EXT2_EXT_ATTR_MAGIC});
  CHECK(is_sound(t.fs, t.place, longer));
}

TEST_CASE("blocks of a table that were swapped know where they belong", "[table]") {
  for (const char* set : {"ext4-1k", "ext4-i1024", "ext4-seed", "ext4-noflex"}) {
    INFO(set);
    const Table t(set);
    for (const uint32_t shift : {1u, 5u}) {
      const BlockNo other = t.number + shift;
      swap_blocks(t, t.number, other);
      CHECK(find_home(t.fs, t.place, t.in_place()) == other);
      CHECK(find_home(t.fs, *find_table_block(t.fs, other), t.in_place(other)) == t.number);
      CHECK_FALSE(is_sound(t.fs, t.place, t.in_place()));
      swap_blocks(t, t.number, other);
    }
  }
}

TEST_CASE("block of another group's table", "[table]") {
  const Table t("ext4-1k");
  const BlockNo other = t.fs.groups[2].inode_table + 3;
  auto block = t.files();
  const TableBlock there = *find_table_block(t.fs, other);
  CHECK(find_home(t.fs, there, block) == t.number);
}

TEST_CASE("blocks that are one inode further on, or of which a part only belongs elsewhere, have no home", "[table]") {
  const Table t("ext4-1k");
  const uint32_t size = t.fs.geometry.inode_size;
  const auto block = t.in_place(), next = t.in_place(t.number + 1);
  const TableBlock there = *find_table_block(t.fs, t.number + 1);
  auto shifted = block;
  std::copy_n(block.begin(), 3 * size, shifted.begin() + size);
  std::copy_n(next.begin(), size, shifted.begin());
  CHECK_FALSE(find_home(t.fs, there, shifted));
  auto half = block;
  std::copy_n(next.begin(), 2 * size, half.begin());
  CHECK_FALSE(find_home(t.fs, there, half));  // two of them are at home
  CHECK_FALSE(find_home(t.fs, t.place, half));
  auto of_two = block;
  std::copy_n(t.in_place(t.number + 2).begin(), 2 * size, of_two.begin());
  CHECK_FALSE(find_home(t.fs, there, of_two));
  auto damaged = block;
  damaged[100] ^= std::byte{1};
  CHECK_FALSE(find_home(t.fs, there, damaged));
  auto empty = block;
  t.clear(empty, 1);
  CHECK(find_home(t.fs, there, empty) == t.number);
  CHECK_FALSE(find_home(t.fs, there, std::vector<std::byte>(t.fs.geometry.block_size)));
}

TEST_CASE("inode without the upper half of its checksum goes where the others do, if its lower half fits there", "[table]") {
  const Table t("ext4-1k");
  auto block = t.in_place();
  t.edit(block, 1, [](ext2_inode_large& inode) { inode.i_extra_isize = 0; });
  const TableBlock there = *find_table_block(t.fs, t.number + 1);
  CHECK(find_home(t.fs, there, block) == t.number);
  block[t.fs.geometry.inode_size + 100] ^= std::byte{1};
  CHECK_FALSE(find_home(t.fs, there, block));
  for (uint32_t i = 0; i < 4; ++i) t.edit(block, i, [](ext2_inode_large& inode) { inode.i_extra_isize = 0; });
  CHECK_FALSE(find_home(t.fs, there, block));  // nobody says where
}

TEST_CASE("inodes of 128 bytes do not tell where they belong", "[table]") {
  const Table t("ext4-i128");
  CHECK_FALSE(find_home(t.fs, *find_table_block(t.fs, t.number + 1), t.in_place()));
}

TEST_CASE("version in which every inode that differs is younger than all of the other", "[table]") {
  const Table t("ext4-1k");
  const auto old = t.files();
  auto fresh = old;
  CHECK_FALSE(t.older(old, fresh));
  t.edit(fresh, 1, [](ext2_inode_large& inode) { change_at(inode, kT + 20); });
  check_order(t, old, fresh);
  CHECK(differing_inodes(t.fs, t.place, old, fresh) == std::vector{InodeNo(22)});
  t.edit(fresh, 3, [](ext2_inode_large& inode) { change_at(inode, kT + 15); });
  check_order(t, old, fresh);
  CHECK(differing_inodes(t.fs, t.place, old, fresh) == std::vector{InodeNo(22), InodeNo(24)});
}

TEST_CASE("one inode that was edited, or put back, is not what a block was before", "[table]") {
  const Table t("ext4-1k");
  auto old = t.files();
  t.edit(old, 0, [](ext2_inode_large& inode) { change_at(inode, kT + 30); });
  auto fresh = old;
  t.edit(fresh, 1, [](ext2_inode_large& inode) { change_at(inode, kT + 20); });  // before inode 21 was changed
  CHECK_FALSE(t.older(old, fresh));
  CHECK_FALSE(t.older(fresh, old));
  t.edit(fresh, 2, [](ext2_inode_large& inode) { change_at(inode, kT + 40); });  // one that is younger does not help
  CHECK_FALSE(t.older(old, fresh));
}

TEST_CASE("editor that leaves the times as they are makes no version older", "[table]") {
  const Table t("ext4-1k");
  const auto old = t.files();
  auto fresh = old;
  t.edit(fresh, 1, [](ext2_inode_large& inode) { inode.i_mode = 0100600; });
  CHECK_FALSE(t.older(old, fresh));
  CHECK_FALSE(t.older(fresh, old));
  CHECK(differing_inodes(t.fs, t.place, old, fresh).size() == 1);
}

TEST_CASE("times of access tell nothing", "[table]") {
  for (const char* set : {"ext4-1k", "ext4-i128", "ext4-plain"}) {
    const Table t(set);
    const auto old = t.files();
    auto fresh = old;
    t.edit(fresh, 1, [&](ext2_inode_large& inode) {
      inode.i_atime = kT + 1000;
      if (t.fs.geometry.inode_size > 128) inode.i_atime_extra = 1234;
    });
    CHECK(fresh != old);
    CHECK(differing_inodes(t.fs, t.place, old, fresh).empty());
    CHECK_FALSE(t.older(old, fresh));
    CHECK_FALSE(t.older(fresh, old));
  }
}

TEST_CASE("nanoseconds decide, and without them a second is one moment", "[table]") {
  const Table t("ext4-1k");
  auto old = t.files();
  t.edit(old, 0, [](ext2_inode_large& inode) { change_at(inode, kT + 20, 500); });
  auto fresh = old;
  t.edit(fresh, 1, [](ext2_inode_large& inode) { change_at(inode, kT + 20, 501); });
  check_order(t, old, fresh);
  t.edit(fresh, 1, [](ext2_inode_large& inode) { change_at(inode, kT + 20, 499); });
  CHECK_FALSE(t.older(old, fresh));

  const Table coarse("ext4-i128");
  auto before = coarse.files();
  coarse.edit(before, 0, [](ext2_inode_large& inode) { inode.i_ctime = kT + 20; });
  auto behind = before;
  coarse.edit(behind, 1, [](ext2_inode_large& inode) { inode.i_size = 5, inode.i_ctime = kT + 20; });
  check_order(coarse, before, behind);
  coarse.edit(behind, 1, [](ext2_inode_large& inode) { inode.i_ctime = kT + 19; });
  CHECK_FALSE(coarse.older(before, behind));
}

TEST_CASE("times behind 2038", "[table]") {
  const Table t("ext4-1k");
  const auto old = t.files();
  auto fresh = old;
  t.edit(fresh, 1, [](ext2_inode_large& inode) {
    inode.i_size = 5;
    inode.i_ctime = 100;  // 2^32 seconds later
    inode.i_ctime_extra = 1;
  });
  check_order(t, old, fresh);
  t.edit(fresh, 1, [](ext2_inode_large& inode) { inode.i_ctime_extra = 0; });
  CHECK_FALSE(t.older(old, fresh));
}

TEST_CASE("files that were made", "[table]") {
  const Table t("ext4-1k");
  auto old = t.files();
  t.clear(old, 2);
  auto fresh = old;
  const auto make_at = [&](uint32_t born) {
    fresh = t.files();
    t.edit(fresh, 2, [=](ext2_inode_large& inode) { inode.i_crtime = born, inode.i_ctime = kT + 25; });
  };
  make_at(kT + 20);
  check_order(t, old, fresh);
  make_at(kT + 5);  // it was there when the old version was written
  CHECK_FALSE(t.older(old, fresh));
  CHECK(differing_inodes(t.fs, t.place, old, fresh) == std::vector{InodeNo(23)});
}

TEST_CASE("files that were deleted, and inodes that were used again", "[table]") {
  const Table t("ext4-1k");
  const auto old = t.files();
  auto fresh = old;
  t.edit(fresh, 1, [](ext2_inode_large& inode) { delete_at(inode, kT + 20); });
  check_order(t, old, fresh);
  auto again = fresh;
  t.edit(again, 1, [](ext2_inode_large& inode) {
    inode.i_links_count = 1;
    inode.i_generation = 99;
    inode.i_dtime = 0;
    inode.i_ctime = inode.i_crtime = kT + 30;
  });
  check_order(t, fresh, again);
  check_order(t, old, again);
  // On the orphan list i_dtime is the number of an inode.
  auto orphan = old;
  t.edit(orphan, 1, [](ext2_inode_large& inode) { delete_at(inode, kT + 20), inode.i_dtime = 12; });
  check_order(t, old, orphan);
}

TEST_CASE("inode that was deleted without a change of its ctime tells nothing", "[table]") {
  const Table t("ext4-1k");
  auto old = t.files();
  t.edit(old, 1, [](ext2_inode_large& inode) { change_at(inode, kT + 20, 600'000'000); });
  auto fresh = old;
  t.edit(fresh, 1, [](ext2_inode_large& inode) {
    inode.i_links_count = 0;
    inode.i_dtime = kT + 20;
  });
  CHECK_FALSE(t.older(old, fresh));
  CHECK_FALSE(t.older(fresh, old));
}

TEST_CASE("a blank block is older than whatever has been made in it", "[table]") {
  for (const char* set : {"ext4-1k", "ext4-i128"}) {
    const Table t(set);
    const std::vector<std::byte> blank(t.fs.geometry.block_size);
    check_order(t, blank, t.files());
  }
}

TEST_CASE("write of a second transaction with the time of the first tells nothing, and others decide", "[table]") {
  const Table t("ext4-1k");
  const auto old = t.files();
  auto fresh = old;
  t.edit(fresh, 0, [](ext2_inode_large& inode) { inode.i_size = 12345; });  // as the blocks of a file are allocated
  t.edit(fresh, 1, [](ext2_inode_large& inode) { change_at(inode, kT + 20); });
  CHECK(t.older(old, fresh));
}

}  // namespace extscrub::test
