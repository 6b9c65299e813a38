// Blocks of directories, extent trees and attributes that were written where others belong.
#include "audit/lost/misplaced_blocks.h"

#include <fmt/format.h>

#include <functional>

#include "tests/cli/cli_support.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/support/past_image.h"
#include "tests/support/recovered.h"

namespace extscrub::test {

namespace {

using BlockNumbers = std::set<uint64_t>;

std::vector<std::byte> bytes_at(const TestImage& image, uint64_t block) {
  std::vector<std::byte> bytes(image.block_size());
  image.read(image.offset(block), bytes);
  return bytes;
}

void put_bytes(const TestImage& image, uint64_t block, Bytes bytes) { image.write(image.offset(block), bytes); }

uint64_t attribute_block_of(const TestImage& image, const std::string& path) {
  return image.peek<uint32_t>(image.inode_offset(image.inode_of(path)) + offsetof(ext2_inode, i_file_acl));
}

// The extent block that the first entry of the root in the inode points to.
uint64_t extent_block_of(const TestImage& image, const std::string& path) {
  return image.peek<ext3_extent_idx>(image.map_offset(image.inode_of(path)) + sizeof(ext3_extent_header)).ei_leaf;
}

struct Pair {
  const char* name;
  std::function<uint64_t(const TestImage&)> first, second;
};

const std::vector<Pair>& pairs() {
  using Image = const TestImage&;
  static const std::vector<Pair> pairs = {
      {"directories", [](Image i) { return i.block_of("/dir/sub/deeper"); }, [](Image i) { return i.block_of("/dir/sub"); }},
      {"leaves of directories", [](Image i) { return i.block_of("/lost+found", 1); },
       [](Image i) { return i.block_of("/many", 2); }},
      {"an index and a leaf", [](Image i) { return i.block_of("/many"); }, [](Image i) { return i.block_of("/dir/sub"); }},
      {"extent blocks", [](Image i) { return extent_block_of(i, "/runs10"); },
       [](Image i) { return extent_block_of(i, "/runs600"); }},
      {"attributes", [](Image i) { return attribute_block_of(i, "/small"); },
       [](Image i) { return attribute_block_of(i, "/other"); }},
      {"a directory and an extent block", [](Image i) { return i.block_of("/dir/sub"); },
       [](Image i) { return extent_block_of(i, "/runs10"); }},
      {"a directory and attributes", [](Image i) { return i.block_of("/dir/sub"); },
       [](Image i) { return attribute_block_of(i, "/small"); }},
  };
  return pairs;
}

TestImage with_attributes() {
  TestImage image("ext4-1k");
  image.debugfs("ea_set /small user.note " + std::string(300, 'a'));
  image.debugfs("ea_set /other user.note " + std::string(300, 'b'));
  return image;
}

BlockNumbers places_with(const Audit& audit, Problem problem) {
  BlockNumbers blocks;
  for (const Finding& f : audit.findings)
    if (f.problem == problem) blocks.insert(f.block->value);
  return blocks;
}

}  // namespace

TEST_CASE("two blocks of inodes that were swapped go home", "[lost]") {
  for (const Pair& pair : pairs()) {
    INFO(pair.name);
    const TestImage image = with_attributes();
    const uint64_t a = pair.first(image), b = pair.second(image);
    REQUIRE(a != b);
    const auto left = bytes_at(image, a), right = bytes_at(image, b);
    put_bytes(image, a, right);
    put_bytes(image, b, left);
    const Audit audit = audit_of(image);
    INFO(describe(audit.findings));
    CHECK(places_with(audit, Problem::metadata_block_misplaced) == BlockNumbers{a, b});
    const Image opened = *Image::open(image.path());
    const RepairPlan plan = plan_of(opened);
    INFO("after:\n" << describe(plan.after.findings));
    CHECK(plan.proven_clean);
    CHECK(plan.losses.empty());
    apply(image, plan);
    CHECK(bytes_at(image, a) == left);
    CHECK(bytes_at(image, b) == right);
    CHECK(image.e2fsck() == 0);
  }
}

TEST_CASE("block of an inode that was written over with another's is not made its own", "[lost]") {
  for (const Pair& pair : pairs()) {
    INFO(pair.name);
    const TestImage image = with_attributes();
    const uint64_t home = pair.second(image), other = pair.first(image);
    const auto content = bytes_at(image, home);
    put_bytes(image, other, content);
    const Audit audit = audit_of(image);
    INFO(describe(audit.findings));
    CHECK(places_with(audit, Problem::metadata_block_misplaced) == BlockNumbers{other});
    const auto finding = std::ranges::find(audit.findings, Problem::metadata_block_misplaced, &Finding::problem);
    REQUIRE(finding != audit.findings.end());
    CHECK(texts_of(finding->evidence).expected == "what nothing has any more");
    CHECK_FALSE(finding->path.empty());

    const Image opened = *Image::open(image.path());
    const RepairPlan safe = plan_of(opened);
    CHECK_FALSE(safe.proven_clean);
    CHECK(places_with(safe.after, Problem::metadata_block_misplaced) == BlockNumbers{other});
    apply(image, safe);
    CHECK(bytes_at(image, other) == content);

    const Image again = *Image::open(image.path());
    const RepairPlan all = plan_of(again, RepairPolicy::all);
    INFO("after:\n" << describe(all.after.findings));
    CHECK(all.proven_clean);
    const auto loss = std::ranges::find(all.losses, Problem::metadata_block_misplaced, &Loss::problem);
    REQUIRE(loss != all.losses.end());
    CHECK(loss->path == finding->path);
    apply(image, all);
    CHECK(bytes_at(image, other) != content);
    CHECK(bytes_at(image, home) == content);
    CHECK(image.e2fsck() == 0);
  }
}

TEST_CASE("block of an inode that was written over is restored from the journal", "[lost]") {
  PastImage past(TestImage("ext4-1k"));
  past.write({"mkdir /dir/sub/first", "sif /dir/sub ctime NOW", "sif /runs10 ctime NOW"});
  past.write({"mkdir /dir/sub/second", "sif /dir/sub ctime NOW"});
  const TestImage& image = past.image();
  const uint64_t home = image.block_of("/dir/sub"), other = extent_block_of(image, "/runs10");
  past.log({other});
  const auto right = past.block(home), leaf = past.block(other);
  put_bytes(image, other, right);
  past.lose(home);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(places_with(audit, Problem::metadata_block_misplaced) == BlockNumbers{other});
  CHECK(places_with(audit, Problem::metadata_write_lost) == BlockNumbers{home});
  const Image opened = *Image::open(image.path());
  const RepairPlan plan = plan_of(opened);
  INFO("after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  apply(image, plan);
  CHECK(past.block(home) == right);
  CHECK(past.block(other) == leaf);
  CHECK(image.e2fsck() == 0);
}

// The pointer is wrong then, and not what it leads to.
TEST_CASE("block that two inodes claim is not misplaced", "[lost]") {
  const TestImage image("ext4-1k");
  const uint64_t at = image.map_offset(image.inode_of("/dir/sub")) + sizeof(ext3_extent_header) + offsetof(ext3_extent, ee_start);
  const uint32_t inode = image.inode_of("/dir/sub");
  image.poke<uint32_t>(at, static_cast<uint32_t>(image.block_of("/dir")));
  image.debugfs(fmt::format("sif <{}> mtime @1700000000", inode), true);  // seals the inode
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(places_with(audit, Problem::block_multiply_claimed).size() > 0);
  CHECK(places_with(audit, Problem::metadata_block_misplaced).empty());
}

}  // namespace extscrub::test
