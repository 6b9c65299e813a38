// What becomes of the contents when inodes, block maps and shared blocks are repaired: what is kept, what is reported as
// lost, and what is left alone.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

using Extent = ext3_extent;

uint64_t extent_offset(const TestImage& image, const std::string& file, unsigned number) {
  return image.map_offset(image.inode_of(file)) + sizeof(ext3_extent_header) + number * sizeof(Extent);
}

void change_extent(const TestImage& image, const std::string& file, unsigned number, const std::function<void(Extent&)>& change) {
  image.patch<Extent>(extent_offset(image, file, number), change);
  image.debugfs(fmt::format("sif {} mtime @1700000000", file), true);  // seals the inode
}

std::string contents(const TestImage& image, const std::string& file) { return image.debugfs("cat " + file, true); }

RepairPlan repair(const TestImage& image, RepairPolicy policy = RepairPolicy::all) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, policy);
  apply(image, plan);
  return plan;
}

void check_sound(const TestImage& image, const RepairPlan& plan) {
  INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK((plan.after.verdict == Verdict::clean));
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
}

bool loses(const RepairPlan& plan, uint32_t inode, uint64_t first, uint64_t end) {
  return std::ranges::any_of(plan.losses, [&](const Loss& l) {
    return l.inode.value == inode && l.bytes && l.bytes->first == first && l.bytes->end == end;
  });
}

bool is_left(const RepairPlan& plan, Problem problem) {
  return std::ranges::any_of(plan.after.findings, [&](const Finding& f) { return f.problem == problem; });
}

}  // namespace

TEST_CASE("files that share blocks keep the contents they show, each in blocks of its own", "[repair]") {
  for (const char* set : {"ext4-1k", "ext4-plain", "ext4-bigalloc", "ext4-4k", "ext4-64k"}) {
    INFO(set);
    const TestImage image(set);
    image.fill(image.offset(image.block_of("/other")), 900, std::byte{'o'});
    const uint64_t shared = image.block_of("/other");
    change_extent(image, "/small", 0, [&](Extent& e) { e.ee_start = static_cast<uint32_t>(shared); });
    const std::string other = contents(image, "/other"), small = contents(image, "/small");
    REQUIRE(small == std::string(900, 'o'));
    const RepairPlan plan = repair(image);
    check_sound(image, plan);
    CHECK(contents(image, "/other") == other);
    CHECK(contents(image, "/small") == small);
    CHECK(image.block_of("/small") != image.block_of("/other"));
    CHECK(loses(plan, std::max(image.inode_of("/small"), image.inode_of("/other")), 0, 900));
  }
}

TEST_CASE("file on an inode table gets a copy, and the table stays", "[repair]") {
  const TestImage image("ext4-1k");
  const uint32_t table = image.descriptor(0).bg_inode_table + 200;
  const uint64_t where = image.offset(table);
  const auto before = image.peek<std::array<std::byte, 1024>>(where);
  change_extent(image, "/small", 0, [&](Extent& e) { e.ee_start = table; });
  const RepairPlan plan = repair(image);
  check_sound(image, plan);
  CHECK(image.peek<std::array<std::byte, 1024>>(where) == before);
  CHECK(image.block_of("/small") != table);
}

TEST_CASE("attribute block that a file claims stays with its inodes", "[repair]") {
  const TestImage image("ext4-i128");
  image.debugfs("ea_set /three user.long " + std::string(150, 'v'));
  const auto block = image.peek<ext2_inode>(image.inode_offset(image.inode_of("/three"))).i_file_acl;
  REQUIRE(block != 0);
  change_extent(image, "/small", 0, [&](Extent& e) { e.ee_start = block; });
  const RepairPlan plan = repair(image);
  check_sound(image, plan);
  CHECK(contents(image, "/small") == std::string(900, '\0'));  // who may read the file may not read all attributes
  CHECK(image.debugfs("ea_get /three user.long").contains(std::string(150, 'v')));
}

TEST_CASE("two inodes with one block map each get a map and contents of their own", "[repair]") {
  for (const char* set : {"ext4-1k", "ext2-1k"}) {
    INFO(set);
    const TestImage image(set);
    const auto map = image.peek<std::array<uint32_t, 15>>(image.map_offset(image.inode_of("/big")));
    image.poke(image.map_offset(image.inode_of("/empty")), map);
    image.debugfs("sif /empty size 400000", true);
    image.debugfs("sif /empty blocks 800", true);
    const std::string big = contents(image, "/big");
    const RepairPlan plan = repair(image);
    check_sound(image, plan);
    CHECK(contents(image, "/big") == big);
    CHECK(contents(image, "/empty") == big);
  }
}

TEST_CASE("without space for copies the owners stay as they are", "[repair]") {
  const TestImage image("ext4-1group");
  image.debugfs("write /dev/null fill");
  image.debugfs(fmt::format("fallocate /fill 0 {}", image.superblock().s_free_blocks_count - 6));
  const uint32_t left = image.superblock().s_free_blocks_count;
  REQUIRE(left < 16);
  // /runs3 has 64 blocks a run, for which there is no place; /small has one. What /runs3 leaves /empty takes.
  Extent run = image.peek<Extent>(extent_offset(image, "/runs3", 1));
  run.ee_block = 0;
  const uint64_t map = image.map_offset(image.inode_of("/empty"));
  image.patch<ext3_extent_header>(map, [](auto& header) { header.eh_entries = 1; });
  image.poke(map + sizeof(ext3_extent_header), run);
  image.debugfs("sif /empty size 65536", true);
  image.debugfs("sif /empty blocks 128");
  const uint64_t big = image.block_of("/big"), other = image.block_of("/other");
  change_extent(image, "/runs3", 1, [&](Extent& e) { e.ee_start = static_cast<uint32_t>(big); });
  change_extent(image, "/small", 0, [&](Extent& e) { e.ee_start = static_cast<uint32_t>(other); });
  const std::string runs = contents(image, "/runs3"), bytes = contents(image, "/big"), small = contents(image, "/small");
  const RepairPlan plan = repair(image);
  INFO(describe(plan.after.findings));
  CHECK_FALSE(plan.proven_clean);
  CHECK(is_left(plan, Problem::block_multiply_claimed));
  CHECK(contents(image, "/runs3") == runs);
  CHECK(contents(image, "/big") == bytes);
  CHECK(contents(image, "/small") == small);
  // A file that keeps its claim to the bitmap's block keeps the bitmap from being written, and so a copy from being made.
  CHECK(image.block_of("/small") == image.block_of("/other"));
}

TEST_CASE("what a damaged map loses is reported by its bytes", "[repair]") {
  SECTION("block of an indirect map") {
    const TestImage image("ext2-1k");
    const uint32_t inode = image.inode_of("/three");
    image.debugfs(fmt::format("sif <{}> block[1] 99999999", inode));
    const RepairPlan plan = repair(image);
    check_sound(image, plan);
    CHECK(loses(plan, inode, 1024, 2048));
    CHECK(contents(image, "/three").substr(0, 1024) == std::string(1024, 'd'));
    CHECK(contents(image, "/three").substr(2048) == std::string(952, 'd'));
  }
  SECTION("indirect block, up to what the next one maps") {
    const TestImage image("ext2-1k");
    const uint32_t inode = image.inode_of("/big");
    image.debugfs(fmt::format("sif <{}> block[IND] 99999999", inode));
    const RepairPlan plan = repair(image);
    check_sound(image, plan);
    CHECK(loses(plan, inode, 12 * 1024, 268 * 1024));
  }
  SECTION("extent behind the last block") {
    const TestImage image("ext4-1k");
    const uint32_t inode = image.inode_of("/runs3");
    change_extent(image, "/runs3", 1, [](Extent& e) { e.ee_start = 0x7ffffff0; });
    const RepairPlan plan = repair(image);
    check_sound(image, plan);
    CHECK(loses(plan, inode, 131072, 196608));
    CHECK(plan.losses.size() == 1);
  }
}

TEST_CASE("map that is written anew has no blocks behind the end of the file", "[repair]") {
  const TestImage image("ext4-plain");
  const uint32_t inode = image.inode_of("/dir/file40");
  const auto first = static_cast<uint32_t>(image.block_of("/dir/file40"));
  const std::string bytes = contents(image, "/dir/file40");
  REQUIRE(bytes.size() == 15080);
  SECTION("indirect map whose inode has EXTENTS_FL") {
    // Where the numbers, taken for an extent, would be one of blocks that nobody has.
    constexpr uint32_t kBlocks = 10001, kIndirect = kBlocks + 15;
    std::array<uint32_t, 15> map{};
    for (uint32_t i = 0; i < 15; ++i) {
      image.write(image.offset(kBlocks + i),
                  std::as_bytes(std::span(bytes).subspan(i * 1024, std::min<size_t>(1024, bytes.size() - i * 1024))));
      if (i < 12) map[i] = kBlocks + i;
    }
    map[12] = kIndirect;
    image.poke(image.map_offset(inode), map);
    image.poke(image.offset(kIndirect), std::array{kBlocks + 12, kBlocks + 13, kBlocks + 14});
    image.debugfs(fmt::format("setb {} 16", kBlocks), true);
    image.debugfs(fmt::format("freeb {} 15", first), true);
    image.debugfs(fmt::format("sif <{}> blocks 32", inode), true);
  }
  SECTION("root without a header, and an old extent behind those in use") {
    image.poke(image.map_offset(inode), std::array<uint16_t, 2>{0, 2});
    image.poke(extent_offset(image, "/dir/file40", 1), Extent{15, 4, 0, 25100});
  }
  SECTION("root without a header whose extent is a block too long") {
    image.poke(image.map_offset(inode), uint16_t{0});
    image.patch<Extent>(extent_offset(image, "/dir/file40", 0), [](Extent& e) { e = {0, 16, 0, 25100}; });
    for (uint32_t i = 0; i < 15; ++i) {
      image.write(image.offset(25100 + i),
                  std::as_bytes(std::span(bytes).subspan(i * 1024, std::min<size_t>(1024, bytes.size() - i * 1024))));
    }
  }
  const RepairPlan plan = repair(image);
  check_sound(image, plan);
  CHECK(contents(image, "/dir/file40") == bytes);
  CHECK(image.debugfs(fmt::format("bmap <{}> 15", inode)).starts_with("0"));
  CHECK(image.debugfs(fmt::format("bmap <{}> 16", inode)).starts_with("0"));
}

TEST_CASE("extents behind a damaged header are found again", "[repair]") {
  for (const char* set : {"ext4-1k", "ext4-plain", "ext4-bigalloc"}) {
    for (const auto& [file, in_node] : std::initializer_list<std::pair<const char*, bool>>{
             {"/runs3", false}, {"/runs10", false}, {"/runs10", true}, {"/runs600", false}, {"/runs600", true}}) {
      INFO(set << ", " << (in_node ? "first node of " : "root of ") << file);
      const TestImage image(set);
      const std::string before = contents(image, file);
      const uint64_t root = image.map_offset(image.inode_of(file));
      if (in_node) {
        REQUIRE(image.peek<ext3_extent_header>(root).eh_depth > 0);
        const uint32_t node = image.peek<ext3_extent_idx>(root + sizeof(ext3_extent_header)).ei_leaf;
        image.poke<uint16_t>(image.offset(node), 0);
      } else {
        image.poke<uint16_t>(root, 0);
      }
      const RepairPlan plan = repair(image);
      check_sound(image, plan);
      CHECK(contents(image, file) == before);
      CHECK(plan.losses.empty());
    }
  }
}

TEST_CASE("node that lies on metadata is read there, and the metadata stays", "[repair]") {
  const TestImage image("ext4-1k");
  const std::string before = contents(image, "/runs10");
  const uint32_t inode = image.inode_of("/runs10");
  const uint64_t index = image.map_offset(inode) + sizeof(ext3_extent_header);
  const auto leaf = image.peek<std::array<std::byte, 1024>>(image.offset(image.peek<ext3_extent_idx>(index).ei_leaf));
  // The end of the table, which is not in use.
  const uint32_t table_end = image.descriptor(1).bg_inode_table + image.superblock().s_inodes_per_group * 256 / 1024 - 1;
  image.poke(image.offset(table_end), leaf);
  image.patch<ext3_extent_idx>(index, [&](auto& entry) { entry.ei_leaf = table_end; });
  image.debugfs(fmt::format("sif <{}> mtime @1700000000", inode), true);
  const RepairPlan plan = repair(image);
  check_sound(image, plan);
  CHECK(contents(image, "/runs10") == before);
  CHECK(plan.losses.empty());
  CHECK(image.peek<std::array<std::byte, 1024>>(image.offset(table_end)) == leaf);
}

TEST_CASE("directory in an inode that says it is a pipe is a directory again", "[repair]") {
  const TestImage image("ext4-inline");
  image.debugfs("sif /dir/sub/deeper mode 010755");
  const RepairPlan plan = repair(image);
  check_sound(image, plan);
  CHECK(image.debugfs("stat /dir/sub/deeper").contains("Type: directory"));
  CHECK(plan.losses.empty());
}

TEST_CASE("safe repairs leave maps and shared blocks alone", "[repair]") {
  const TestImage image("ext4-1k");
  const uint64_t other = image.block_of("/other");
  change_extent(image, "/small", 0, [&](Extent& e) { e.ee_start = static_cast<uint32_t>(other); });
  change_extent(image, "/runs3", 1, [](Extent& e) { e.ee_start = 0x7ffffff0; });
  const auto small = image.peek<std::array<std::byte, 256>>(image.inode_offset(image.inode_of("/small")));
  const auto runs = image.peek<std::array<std::byte, 256>>(image.inode_offset(image.inode_of("/runs3")));
  const RepairPlan plan = repair(image, RepairPolicy::safe);
  CHECK(is_left(plan, Problem::block_multiply_claimed));
  CHECK(is_left(plan, Problem::extent_out_of_range));
  CHECK(plan.losses.empty());
  CHECK(image.peek<std::array<std::byte, 256>>(image.inode_offset(image.inode_of("/small"))) == small);
  CHECK(image.peek<std::array<std::byte, 256>>(image.inode_offset(image.inode_of("/runs3"))) == runs);
}

TEST_CASE("file whose link count was lost keeps its name and contents", "[repair]") {
  for (const RepairPolicy policy : {RepairPolicy::safe, RepairPolicy::all}) {
    const TestImage image("ext4-1k");
    image.debugfs("sif /three links_count 0");
    const RepairPlan plan = repair(image, policy);
    check_sound(image, plan);
    CHECK(plan.losses.empty());
    CHECK(contents(image, "/three") == std::string(3000, 'd'));
  }
}

TEST_CASE("file of a kind that does not exist keeps its contents", "[repair]") {
  const TestImage image("ext4-1k");
  image.debugfs("sif /three mode 0170644");
  const RepairPlan plan = repair(image);
  CHECK(contents(image, "/three") == std::string(3000, 'd'));
  CHECK_FALSE(plan.losses.empty());
}

TEST_CASE("symbolic link with a wrong size keeps its target", "[repair]") {
  for (const char* set : {"ext4-1k", "ext2-1k"}) {
    INFO(set);
    const TestImage image(set);
    image.debugfs("sif /link size 3");
    image.debugfs("sif /longlink size 100");
    const RepairPlan plan = repair(image);
    check_sound(image, plan);
    CHECK(image.debugfs("stat /link").contains("Fast link dest: \"target\""));
    CHECK(contents(image, "/longlink").substr(0, 200) == std::string(200, 'l'));
    CHECK(plan.losses.empty());
  }
}

}  // namespace extscrub::test
