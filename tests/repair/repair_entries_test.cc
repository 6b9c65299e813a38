// Entries whose inode number is wrong: what lost its name by that gets it back, where it is told which one it was.
#include <fmt/format.h>

#include <algorithm>

#include "scan/format/dir_block.h"
#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// The offset in the image of the entry with that name, in the first block of the directory.
uint64_t entry_at(const TestImage& image, const std::string& directory, std::string_view name) {
  std::vector<std::byte> block(image.block_size());
  const uint64_t at = image.offset(image.block_of(directory));
  image.read(at, block);
  EntryWalk walk(block, image.block_size());
  while (const auto e = walk.next())
    if (e->name == name) return at + e->offset;
  FAIL("no entry " << name);
  return 0;
}

uint32_t inode_or_none(const TestImage& image, const std::string& path) {
  return image.debugfs("stat " + path).find("File not found") == std::string::npos ? image.inode_of(path) : 0;
}

RepairPlan mend_entry(const TestImage& image, RepairPolicy policy) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, policy);
  apply(image, plan);
  return plan;
}

// Sets the entry's number by its bytes; `sealed`: the block's checksum as whoever wrote it would have it.
void misdirect(const TestImage& image, const std::string& directory, std::string_view name, uint32_t target, bool sealed) {
  const uint64_t at = entry_at(image, directory, name), block_at = image.offset(image.block_of(directory));
  image.poke(at, target);
  if (!sealed) return;
  const uint32_t inode = image.inode_of(directory);
  std::vector<std::byte> block(image.block_size());
  image.read(block_at, block);
  const auto opened = Image::open(image.path());
  const auto fs = load_superblock(*opened, nullptr, {});
  REQUIRE(fs);
  seal_leaf(inode_seed(fs->geometry, InodeNo(inode),
                       image.peek<uint32_t>(image.inode_offset(inode) + offsetof(ext2_inode, i_generation))),
            block);
  image.write(block_at, block);
}

void check_put_back(const TestImage& image, RepairPolicy policy, const std::string& path, uint32_t inode) {
  const RepairPlan plan = mend_entry(image, policy);
  INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  for (const Loss& l : plan.losses) UNSCOPED_INFO(l.what);
  CHECK(plan.proven_clean);
  CHECK(image.e2fsck() == 0);
  CHECK(inode_or_none(image, path) == inode);
  CHECK(inode_or_none(image, fmt::format("/lost+found/#{}", inode)) == 0);
  CHECK(std::ranges::any_of(
      plan.losses, [](const Loss& l) { return l.what.find("again, where the entry named inode") != std::string::npos; }));
}

}  // namespace

TEST_CASE("directory whose entry names nothing that can be goes back under its name", "[entries][repair]") {
  for (const char* set : {"ext2-1k", "ext4-plain", "ext4-1k", "ext4-4k", "ext4-bigalloc"})
    for (const std::string kind :
         {"out of range", "reserved", "not in use", "its own", "the root", "a file", "another directory"}) {
      INFO(set << ", " << kind);
      const TestImage image(set);
      const uint32_t inode = image.inode_of("/dir/sub");
      const uint32_t target = kind == "out of range" ? image.superblock().s_inodes_count + 5
                              : kind == "reserved"   ? 4
                              : kind == "not in use" ? image.superblock().s_inodes_count - 3
                              : kind == "its own"    ? image.inode_of("/dir")
                              : kind == "the root"   ? 2
                              : kind == "a file"     ? image.inode_of("/dir/file3")
                                                     : image.inode_of("/many");
      misdirect(image, "/dir", "sub", target, image.superblock().s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
      check_put_back(image, RepairPolicy::safe, "/dir/sub", inode);
      CHECK(inode_or_none(image, "/many") != 0);
      CHECK(inode_or_none(image, "/dir/file3") != 0);
    }
}

TEST_CASE("a block's checksum tells which entry names what", "[entries][repair]") {
  for (const char* set : {"ext4-1k", "ext4-4k"})
    for (const std::string name : {"file3", "sub"})
      for (const std::string kind : {"out of range", "another file", "cleared"}) {
        INFO(set << ", " << name << ", " << kind);
        const TestImage image(set);
        const uint32_t inode = image.inode_of("/dir/" + name);
        const uint32_t target = kind == "cleared"        ? 0
                                : kind == "another file" ? image.inode_of("/dir/file7")
                                                         : image.superblock().s_inodes_count + 77;
        misdirect(image, "/dir", name, target, false);
        check_put_back(image, RepairPolicy::safe, "/dir/" + name, inode);
        CHECK(inode_or_none(image, "/dir/file7") != 0);
      }
}

TEST_CASE("with two entries that may have been a directory's it goes to lost+found", "[entries][repair]") {
  const TestImage image("ext4-plain");
  image.debugfs("mkdir /dir/second");
  const uint32_t inode = image.inode_of("/dir/sub"), second = image.inode_of("/dir/second");
  const uint32_t most = image.superblock().s_inodes_count;
  image.poke(entry_at(image, "/dir", "sub"), most + 1);
  image.poke(entry_at(image, "/dir", "second"), most + 2);
  const RepairPlan plan = mend_entry(image, RepairPolicy::all);
  CHECK(plan.proven_clean);
  CHECK(image.e2fsck() == 0);
  CHECK(inode_or_none(image, fmt::format("/lost+found/#{}", inode)) == inode);
  CHECK(inode_or_none(image, fmt::format("/lost+found/#{}", second)) == second);
}

TEST_CASE("file goes back only under the one name that is a byte away from it", "[entries][repair]") {
  const TestImage sound("ext4-plain");
  const uint32_t inode = sound.inode_of("/dir/file3");
  SECTION("one byte") {
    sound.poke(entry_at(sound, "/dir", "file3"), inode ^ 0x40000000);
    check_put_back(sound, RepairPolicy::safe, "/dir/file3", inode);
  }
  SECTION("two bytes") {
    sound.poke(entry_at(sound, "/dir", "file3"), inode ^ 0x40010000);
    CHECK(mend_entry(sound, RepairPolicy::all).proven_clean);
    CHECK(inode_or_none(sound, fmt::format("/lost+found/#{}", inode)) == inode);
  }
  SECTION("two such entries") {
    sound.poke(entry_at(sound, "/dir", "file3"), inode ^ 0x40000000);
    sound.poke(entry_at(sound, "/dir", "file4"), inode ^ 0x20000000);
    CHECK(mend_entry(sound, RepairPolicy::all).proven_clean);
    CHECK(inode_or_none(sound, fmt::format("/lost+found/#{}", inode)) == inode);
  }
}

TEST_CASE("name whose length is zero has it again", "[entries][repair]") {
  for (const char* set : {"ext4-plain", "ext4-1k"})
    for (const std::string name : {"sub", "file7", "file40"}) {
      INFO(set << ", " << name);
      const TestImage image(set);
      const uint32_t inode = image.inode_of("/dir/" + name);
      image.poke(entry_at(image, "/dir", name) + 6, uint8_t{0});
      const RepairPlan plan = mend_entry(image, RepairPolicy::all);
      INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
      CHECK(plan.proven_clean);
      CHECK(image.e2fsck() == 0);
      CHECK(inode_or_none(image, "/dir/" + name) == inode);
    }
}

TEST_CASE("entry of an inline directory names its directory again", "[entries][repair]") {
  const TestImage image("ext4-inline");
  image.debugfs("ssv feature_ro_compat ^metadata_csum");
  const uint32_t inode = image.inode_of("/dir/sub/deeper");
  const uint64_t at = image.map_offset(image.inode_of("/dir/sub")) + 4;
  REQUIRE(image.peek<uint32_t>(at) == inode);
  image.poke(at, image.superblock().s_inodes_count + 9);
  const RepairPlan plan = mend_entry(image, RepairPolicy::all);
  INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  CHECK(inode_or_none(image, "/dir/sub/deeper") == inode);
}

}  // namespace extscrub::test
