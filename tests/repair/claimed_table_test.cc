// Inode tables and bitmaps whose descriptor names what is a file's, and no copy tells where they are: the file keeps its blocks.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "scan/format/checksum.h"
#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

constexpr uint32_t kBlock = 1024;

enum class Contents : uint8_t { noise, text };

void write_file(const std::filesystem::path& path, Contents contents) {
  std::ofstream file(path, std::ios::binary);
  uint32_t state = 1;
  for (int i = 0; i < 400; ++i)
    for (uint32_t j = 0; j < kBlock / 16; ++j) {
      if (contents == Contents::text)
        file << fmt::format("line {:>4} of {:>4}", j, i).substr(0, 15) << '\n';
      else
        for (int k = 0; k < 16; ++k) file.put(static_cast<char>((state = state * 1103515245 + 12345) >> 16));
    }
}

// Three files behind each other: /a, /data, /z.
TestImage with_file(const std::string& features, Contents contents) {
  const TempDir tree;
  for (const char* name : {"a", "z"}) std::ofstream(tree.path() / name) << name;
  write_file(tree.path() / "data", contents);
  return TestImage(
      {"-t", "ext4", "-b", "1024", "-G", "1", "-O", "sparse_super2,^resize_inode," + features, "-E", "num_backup_sb=0"}, "40M",
      tree.path());
}

void point_at(const TestImage& image, uint32_t group, size_t field, uint64_t block) {
  image.poke<uint32_t>(image.descriptor_offset(group) + field, static_cast<uint32_t>(block));
  const auto opened = Image::open(image.path());
  const auto fs = load_superblock(*opened, nullptr, {});
  if (!fs->geometry.group_csum()) return;
  std::vector<std::byte> raw(fs->geometry.desc_size);
  image.read(image.descriptor_offset(group), raw);
  image.poke(image.descriptor_offset(group) + offsetof(ext2_group_desc, bg_checksum),
             group_desc_checksum(fs->geometry, image.superblock(), GroupNo(group), raw));
}

constexpr size_t kTable = offsetof(ext2_group_desc, bg_inode_table);

const std::vector<std::string>& with_and_without_checksums() {
  static const std::vector<std::string> all = {"metadata_csum", "^metadata_csum,^uninit_bg", "^metadata_csum,uninit_bg"};
  return all;
}

// Mends it, and the files are what they were.
void check_kept(const TestImage& image, const std::string& before, const std::vector<uint64_t>& places) {
  const Image opened = *Image::open(image.path());
  const RepairPlan plan = plan_of(opened, RepairPolicy::all);
  apply(image, plan);
  INFO(describe(plan.before.findings));
  CHECK(std::ranges::any_of(plan.before.findings,
                            [](const Finding& f) { return f.problem == Problem::group_inode_table_location; }));
  INFO(describe(plan.after.findings));
  CHECK(plan.proven_clean);
  CHECK((image.debugfs("cat /data") == before));
  std::vector<uint64_t> now;
  for (size_t i = 0; i < places.size(); ++i) now.push_back(image.block_of("/data", i));
  CHECK((now == places));
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
}

std::vector<uint64_t> blocks_of_data(const TestImage& image) {
  std::vector<uint64_t> places;
  for (size_t i = 0; i < 200; ++i) places.push_back(image.block_of("/data", i));
  return places;
}

}  // namespace

TEST_CASE("inode table of another group at a file's blocks is taken off them", "[repair][tables]") {
  for (const std::string& features : with_and_without_checksums())
    for (const Contents contents : {Contents::noise, Contents::text}) {
      INFO(features << ", " << static_cast<int>(contents));
      const TestImage image = with_file(features, contents);
      const std::string before = image.debugfs("cat /data");
      const auto places = blocks_of_data(image);
      point_at(image, 2, kTable, places[20]);
      check_kept(image, before, places);
    }
}

TEST_CASE("inode table of the first group that its sealed descriptor does not name is found", "[repair][tables]") {
  for (const std::string& features : with_and_without_checksums()) {
    INFO(features);
    const TestImage sound = with_file(features, Contents::noise);
    const std::string before = sound.debugfs("cat /data");
    const auto places = blocks_of_data(sound);
    const uint64_t table = sound.descriptor(0).bg_inode_table;
    for (const uint64_t at : {table + 1, table - 3, sound.block_of("/data", 30), sound.block_of("<8>", 5)}) {
      INFO("at " << at << " instead of " << table);
      const TestImage image = sound.copy();
      point_at(image, 0, kTable, at);
      check_kept(image, before, places);
      CHECK(image.descriptor(0).bg_inode_table == table);
    }
  }
}

TEST_CASE("damaged root makes nobody look for another first table: not in a file that holds an older copy", "[repair][tables]") {
  TestImage image({"-t", "ext4", "-b", "1024", "-N", "128", "-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=0"},
                  "8M");
  for (int i = 0; i < 20; ++i) image.debugfs(fmt::format("write /dev/null old{}", i));
  const uint64_t table = image.descriptor(0).bg_inode_table;
  const TempDir folder;
  {
    std::vector<std::byte> head(600 << 10);  // of the file system: what an administrator keeps
    image.read(0, head);
    std::ofstream(folder.path() / "head", std::ios::binary)
        .write(reinterpret_cast<const char*>(head.data()), static_cast<std::streamsize>(head.size()));
  }
  image.debugfs("write " + (folder.path() / "head").string() + " head");
  REQUIRE(image.e2fsck() == 0);
  const auto contents = image.debugfs(fmt::format("cat <{}>", image.inode_of("/head")));
  const uint32_t head = image.inode_of("/head");
  image.debugfs("sif <2> mode 0100644", true);
  for (const RepairPolicy policy : {RepairPolicy::safe, RepairPolicy::all}) {
    const TestImage mended = image.copy();
    const Image opened = *Image::open(mended.path());
    const RepairPlan plan = plan_of(opened, policy);
    INFO(describe(plan.before.findings));
    CHECK(std::ranges::none_of(plan.before.findings,
                               [](const Finding& f) { return f.problem == Problem::group_inode_table_location; }));
    apply(mended, plan);
    CHECK(mended.descriptor(0).bg_inode_table == table);
    CHECK((mended.debugfs(fmt::format("cat <{}>", head)) == contents));
  }
}

TEST_CASE("table whose head a file has written over keeps what is sound in it", "[repair][tables]") {
  constexpr int kFiles = 900;
  constexpr uint16_t kOverwritten = 190;  // blocks, of four inodes each
  const TempDir tree;
  for (int i = 0; i < kFiles; ++i) std::ofstream(tree.path() / fmt::format("f{}", i));
  const TestImage image({"-t", "ext4", "-b", "1024", "-N", "2048", "-O", "^has_journal,^flex_bg,^resize_inode"}, "16M",
                        tree.path());
  const uint64_t table = image.descriptor(0).bg_inode_table;
  const uint64_t from = table + 4;  // behind the file system's own
  const std::vector<std::byte> text(kOverwritten * kBlock, std::byte{'x'});
  // A file whose extent leads there.
  image.debugfs("write /dev/null wrong");
  const uint64_t map = image.map_offset(image.inode_of("/wrong"));
  image.poke<ext3_extent_header>(map,
                                 {.eh_magic = EXT3_EXT_MAGIC, .eh_entries = 1, .eh_max = 4, .eh_depth = 0, .eh_generation = 0});
  image.poke<ext3_extent>(map + sizeof(ext3_extent_header),
                          {.ee_block = 0, .ee_len = kOverwritten, .ee_start_hi = 0, .ee_start = static_cast<uint32_t>(from)});
  image.debugfs(fmt::format("sif /wrong size {}", text.size()), true);
  image.write(image.offset(from), text);
  const Image opened = *Image::open(image.path());
  const RepairPlan plan = plan_of(opened, RepairPolicy::all);
  INFO(describe(plan.before.findings));
  apply(image, plan);
  CHECK(image.descriptor(0).bg_inode_table == table);
  uint32_t left = 0;
  const auto names = image.debugfs("ls -p /");
  for (int i = 0; i < kFiles; ++i) left += names.contains(fmt::format("/f{}/", i));
  CHECK(left >= kFiles - kOverwritten * 4);
}

}  // namespace extscrub::test
