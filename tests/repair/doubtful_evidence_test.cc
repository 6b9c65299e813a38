// What looks like evidence and is none: repairs must not go by it, to the harm of a file or to the gain of a stranger.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

constexpr uint32_t kBytesOfBlock = 1024;

// Files of `blocks` blocks each, whose bytes tell file and block; user 1001 for the first, 1002 for the next.
TestImage with_files(const std::vector<std::string>& options, const std::vector<std::string>& names, size_t blocks) {
  const TempDir tree;
  for (const std::string& name : names) {
    std::ofstream file(tree.path() / name, std::ios::binary);
    for (size_t i = 0; i < blocks * kBytesOfBlock / 16; ++i) file << fmt::format("{:<8}{:>7}\n", name, i * 16 / kBytesOfBlock);
  }
  TestImage image(options, "8M", tree.path());
  uint32_t uid = 1001;
  for (const std::string& name : names)
    for (const std::string& what : {fmt::format("uid {}", uid++), std::string("mode 0100600")})
      image.debugfs(fmt::format("sif /{} {}", name, what));
  return image;
}

void scrub_with(const TestImage& image, RepairPolicy policy) {
  const Image opened = *Image::open(image.path());
  apply(image, plan_of(opened, policy));
}

uint64_t pointer(const TestImage& image, const std::string& path, size_t i) {
  return image.map_offset(image.inode_of(path)) + 4 * i;
}

// The block belongs to nobody, and is marked as in use.
void write_leaked_block(const TestImage& image, uint64_t block, Bytes bytes) {
  image.debugfs(fmt::format("setb {}", block));
  image.write(image.offset(block), bytes);
}

void put_entry(MutableBytes block, size_t at, uint32_t inode, uint16_t rec_len, std::string_view name, uint8_t type) {
  store(block, at, inode);
  store(block, at + 4, rec_len);
  store(block, at + 6, static_cast<uint8_t>(name.size()));
  store(block, at + 7, type);
  std::ranges::copy(std::as_bytes(std::span(name)), block.subspan(at + 8).begin());
}

}  // namespace

TEST_CASE("directory's own damaged block is not replaced by one that nobody has", "[evidence][repair]") {
  const TestImage image = with_files({"-t", "ext2", "-b", "1024", "-O", "^dir_index"}, {"evil"}, 1);
  image.debugfs("mkdir /etc");
  image.debugfs("write /dev/null /etc/passwd");
  const uint32_t etc = image.inode_of("/etc"), passwd = image.inode_of("/etc/passwd"), evil = image.inode_of("/evil");
  std::vector<std::byte> forged(kBytesOfBlock);
  put_entry(forged, 0, etc, 12, ".", EXT2_FT_DIR);
  put_entry(forged, 12, EXT2_ROOT_INO, 12, "..", EXT2_FT_DIR);
  put_entry(forged, 24, evil, kBytesOfBlock - 24, "passwd", EXT2_FT_REG_FILE);
  write_leaked_block(image, 6000, forged);
  image.poke<uint32_t>(image.offset(image.block_of("/etc")), etc | 16);  // one bit of `.`
  scrub_with(image, RepairPolicy::all);
  CHECK(image.inode_of("/etc/passwd") == passwd);
  CHECK(image.e2fsck() == 0);
}

namespace {

// /etc with passwd in it, and evil, a user's; the first block of /etc is a hole, and a forged one belongs to nobody.
struct Forged {
  TestImage image = with_files({"-t", "ext2", "-b", "1024", "-O", "^dir_index"}, {"evil"}, 1);
  uint32_t etc = 0, passwd = 0, evil = 0;
  uint64_t own = 0;  // the block that /etc had

  explicit Forged(uint32_t parent) {
    image.debugfs("mkdir /etc");
    image.debugfs("write /dev/null /etc/passwd");
    etc = image.inode_of("/etc"), passwd = image.inode_of("/etc/passwd"), evil = image.inode_of("/evil");
    own = image.block_of("/etc");
    std::vector<std::byte> forged(kBytesOfBlock);
    put_entry(forged, 0, etc, 12, ".", EXT2_FT_DIR);
    put_entry(forged, 12, parent, 12, "..", EXT2_FT_DIR);
    put_entry(forged, 24, evil, kBytesOfBlock - 24, "passwd", EXT2_FT_REG_FILE);
    write_leaked_block(image, 6000, forged);
    image.poke<uint32_t>(pointer(image, "/etc", 0), 0);
  }
};

bool tells_of(const RepairPlan& plan, uint32_t ino, std::string_view what) {
  return std::ranges::any_of(plan.losses, [&](const Loss& l) { return l.inode == InodeNo(ino) && l.what.contains(what); });
}

}  // namespace

TEST_CASE("hole of a directory is not filled by a block that names what has all its names", "[evidence][repair]") {
  const Forged f(EXT2_ROOT_INO);
  f.image.debugfs(fmt::format("freeb {}", f.own));
  const Image opened = *Image::open(f.image.path());
  const RepairPlan plan = plan_of(opened, RepairPolicy::all);
  apply(f.image, plan);
  CHECK(!f.image.debugfs("stat /etc/passwd").contains(fmt::format("Inode: {} ", f.evil)));
  CHECK(tells_of(plan, f.etc, "block 6000"));
  CHECK(f.image.e2fsck() == 0);
}

TEST_CASE("hole of a directory is not filled by a block that names another parent", "[evidence][repair]") {
  const Forged f(11);
  f.image.debugfs(fmt::format("freeb {}", f.own));
  f.image.poke<uint32_t>(f.image.offset(6000) + 24, f.passwd);  // which lacks its name
  const Image opened = *Image::open(f.image.path());
  const RepairPlan plan = plan_of(opened, RepairPolicy::all);
  apply(f.image, plan);
  CHECK(f.image.debugfs("stat /etc/passwd").contains("not found"));
  CHECK(tells_of(plan, f.etc, "block 6000"));
}

TEST_CASE("of two first blocks of a directory that nobody has, the one that names what lacks a name goes back",
          "[evidence][repair]") {
  for (const bool empty : {false, true}) {
    const Forged f(EXT2_ROOT_INO);
    if (empty) f.image.poke<uint32_t>(f.image.offset(6000) + 24, 0);
    const Image opened = *Image::open(f.image.path());
    const RepairPlan plan = plan_of(opened, RepairPolicy::all);
    apply(f.image, plan);
    CHECK(f.image.inode_of("/etc/passwd") == f.passwd);
    CHECK(f.image.block_of("/etc") == f.own);
    CHECK(tells_of(plan, f.etc, "block 6000") == !empty);
    CHECK(f.image.e2fsck() == 0);
  }
}

// A directory of three blocks with checksums, of which nothing maps the second any more.
struct WithHole {
  TestImage image = with_files({"-t", "ext2", "-b", "1024", "-O", "metadata_csum,^dir_index"}, {"other"}, 1);
  uint32_t names = 0;

  explicit WithHole(bool second_name) {
    image.debugfs("mkdir /d");
    while (image.block_of("/d", 2) == 0) image.debugfs("expand_dir /d");
    for (; names < 60; ++names) image.debugfs(fmt::format("write /dev/null /d/{:040}", names));
    if (second_name) image.debugfs(fmt::format("link /d/{:040} /kept", 30), true);
    const uint64_t map = image.map_offset(image.inode_of("/d"));
    image.poke<uint32_t>(map + 4, 0);
    image.debugfs("sif /d flags 0", true);  // seals it
  }
  [[nodiscard]] uint32_t found() const {
    const auto list = image.debugfs("ls -p /d");
    uint32_t n = 0;
    for (uint32_t i = 0; i < names; ++i) n += list.contains(fmt::format("/{:040}/", i));
    return n;
  }
};

TEST_CASE("sealed block of a directory goes back into its hole, in a safe scrub too", "[evidence][repair]") {
  const WithHole hole(false);
  REQUIRE(hole.found() < hole.names);
  scrub_with(hole.image, RepairPolicy::safe);
  CHECK(hole.found() == hole.names);
  CHECK(hole.image.e2fsck() == 0);
}

TEST_CASE("sealed block of a directory goes back with all its names when one of them was given anew", "[evidence][repair]") {
  const WithHole hole(true);
  REQUIRE(hole.found() < hole.names);
  scrub_with(hole.image, RepairPolicy::all);
  CHECK(hole.found() == hole.names);
  CHECK(hole.image.e2fsck() == 0);
}

TEST_CASE("wrong pointer of a file does not vouch for a wrong pointer of another", "[evidence][repair]") {
  const TestImage image = with_files({"-t", "ext2", "-b", "1024"}, {"a", "b", "c"}, 12);
  std::array<uint32_t, 12> a{}, c{};
  for (size_t i = 0; i < a.size(); ++i)
    a[i] = image.peek<uint32_t>(pointer(image, "/a", i)), c[i] = image.peek<uint32_t>(pointer(image, "/c", i));
  image.poke(pointer(image, "/c", 3), a[3]);
  image.poke(pointer(image, "/c", 6), a[6]);
  image.poke(pointer(image, "/a", 9), c[9]);
  scrub_with(image, RepairPolicy::all);
  CHECK(image.peek<uint32_t>(pointer(image, "/a", 3)) == a[3]);
  CHECK(image.peek<uint32_t>(pointer(image, "/a", 6)) == a[6]);
  CHECK(image.peek<uint32_t>(pointer(image, "/c", 9)) == c[9]);
  CHECK(image.peek<uint32_t>(pointer(image, "/a", 9)) == 0);
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("of three owners of a block, each weaker than another, none keeps what it may not see", "[evidence][repair]") {
  const TestImage image = with_files({"-t", "ext2", "-b", "1024"}, {"a", "b", "c"}, 12);
  constexpr uint32_t kRegion = 6000, kDisputed = kRegion + 1, kOther = kRegion + 21;
  struct Change {
    const char* path;
    size_t slot;
    uint32_t block;
    bool leaked = false;  // what it named stays in use
  };
  // a beats c by what they share besides, c beats b, and b beats a, behind whose first block another would fit better.
  for (const Change& c : {Change{"/a", 0, kDisputed},
                          {"/a", 1, kOther},
                          {"/a", 2, kDisputed + 1},
                          {"/a", 3, kDisputed + 2},
                          {"/b", 11, kDisputed},
                          {"/c", 5, kRegion},
                          {"/c", 6, kDisputed},
                          {"/c", 7, kDisputed + 1},
                          {"/c", 1, kDisputed + 2, true}}) {
    const auto was = image.peek<uint32_t>(pointer(image, c.path, c.slot));
    if (!c.leaked) image.debugfs(fmt::format("freeb {}", was));
    image.debugfs(fmt::format("setb {}", c.block));
    image.poke(pointer(image, c.path, c.slot), c.block);
  }
  image.debugfs(fmt::format("setb {}", kOther - 1));
  scrub_with(image, RepairPolicy::all);
  CHECK(image.peek<uint32_t>(pointer(image, "/a", 0)) == 0);
  CHECK(image.peek<uint32_t>(pointer(image, "/b", 11)) == 0);
  CHECK(image.peek<uint32_t>(pointer(image, "/c", 6)) == 0);
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("without an inode for root's file, blocks that may be anybody's stay with both", "[evidence][repair]") {
  const TestImage image = with_files({"-t", "ext4", "-b", "1024", "-N", "16"}, {"a", "b"}, 3);
  for (int i = 0; i < 3; ++i) image.debugfs(fmt::format("write /dev/null /full{}", i));
  const uint64_t block = image.block_of("/a");
  std::vector<std::byte> map(60);
  image.read(image.map_offset(image.inode_of("/a")), map);
  image.write(image.map_offset(image.inode_of("/b")), map);
  image.debugfs("sif /b generation 0", true);  // seals it
  scrub_with(image, RepairPolicy::all);
  CHECK(image.block_of("/a") == block);
  CHECK(image.block_of("/b") == block);
  CHECK(image.debugfs(fmt::format("testb {}", block)).contains("marked in use"));
}

TEST_CASE("what lies in a wrong inode table is a file's data, and no safe repair writes there", "[evidence][repair]") {
  const TempDir tree;
  {
    std::ofstream file(tree.path() / "data", std::ios::binary);
    uint32_t state = 1;
    for (int i = 0; i < 400000; ++i) file.put(static_cast<char>((state = state * 1103515245 + 12345) >> 16));
  }
  const TestImage image({"-t", "ext4", "-b", "1024", "-G", "1", "-O", "^metadata_csum,^uninit_bg,sparse_super2,^resize_inode",
                         "-E", "num_backup_sb=0"},
                        "40M", tree.path());
  std::vector<std::byte> before(100 * kBytesOfBlock), after(before.size());
  const uint64_t at = image.block_of("/data", 20);
  image.read(image.offset(at), before);
  image.poke<uint32_t>(image.descriptor_offset(2) + offsetof(ext4_group_desc, bg_inode_table), static_cast<uint32_t>(at));
  scrub_with(image, RepairPolicy::safe);
  image.read(image.offset(at), after);
  CHECK(before == after);
}

TEST_CASE("true inode table under a file's wrong pointer keeps what the file may have put there from safe repairs",
          "[evidence][repair]") {
  const TestImage image = with_files({"-t", "ext2", "-b", "1024", "-N", "256"}, {"a", "b", "c"}, 12);
  const uint64_t at = image.descriptor(0).bg_inode_table + 8;
  for (int i = 0; i < 60; ++i) image.debugfs(fmt::format("write /dev/null /f{}", i));
  std::vector<std::byte> before(kBytesOfBlock), after(kBytesOfBlock);
  for (size_t i = 0; i < kBytesOfBlock; ++i) before[i] = static_cast<std::byte>(i * 7 + i / 16);
  image.write(image.offset(at), before);
  image.poke(pointer(image, "/a", 5), static_cast<uint32_t>(at));
  scrub_with(image, RepairPolicy::safe);
  image.read(image.offset(at), after);
  CHECK(before == after);
}

TEST_CASE("orphan in a wrong inode table is a file's data, and is not released", "[evidence][repair]") {
  const TempDir tree;
  std::ofstream(tree.path() / "data") << std::string(200 * kBytesOfBlock, 'x');
  const TestImage image({"-t", "ext4", "-b", "1024", "-G", "1", "-O", "^metadata_csum,^uninit_bg,sparse_super2,^resize_inode",
                         "-E", "num_backup_sb=0"},
                        "40M", tree.path());
  const uint32_t orphan = 2 * image.superblock().s_inodes_per_group + 5;
  const uint64_t at = image.block_of("/data", 20);
  ext2_inode inode{};
  inode.i_mode = 0100644;
  inode.i_size = 5;
  image.poke(image.offset(at) + 4 * uint64_t{image.superblock().s_inode_size}, inode);
  image.debugfs(fmt::format("seti <{}>", orphan));
  image.poke<uint32_t>(image.descriptor_offset(2) + offsetof(ext4_group_desc, bg_inode_table), static_cast<uint32_t>(at));
  image.poke<uint32_t>(kSuperblockOffset + offsetof(ext2_super_block, s_last_orphan), orphan);
  std::vector<std::byte> before(kBytesOfBlock), after(kBytesOfBlock);
  image.read(image.offset(at), before);
  scrub_with(image, RepairPolicy::safe);
  image.read(image.offset(at), after);
  CHECK(before == after);
}

TEST_CASE("journal inside stays, though the superblock names a device twice", "[evidence][journal]") {
  for (const char* type : {"ext3", "ext4"}) {
    const TestImage image({"-t", type, "-b", "1024", "-O", "^metadata_csum"}, "16M");
    const uint64_t first = image.block_of("<8>", 0);
    image.fill(kSuperblockOffset + offsetof(ext2_super_block, s_journal_uuid), 16, std::byte{0x5A});
    image.poke<uint32_t>(kSuperblockOffset + offsetof(ext2_super_block, s_journal_dev), 0x801);
    check_proven_repair(image, RepairPolicy::all);
    CHECK(image.superblock().s_journal_inum == 8);
    CHECK(image.superblock().s_journal_dev == 0);
    CHECK(image.block_of("<8>", 0) == first);
  }
}

TEST_CASE("resize inode whose list is block 0 gets another, where block 0 is in the file system too", "[evidence][repair]") {
  const TestImage image({"-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "4096"}, "16M");
  image.debugfs("sif <7> block[DIND] 0");
  check_proven_repair(image);
  CHECK(image.peek<uint32_t>(image.map_offset(7) + 4 * EXT2_DIND_BLOCK) != 0);
}

}  // namespace extscrub::test
