// How long a file may be: the sizes that Linux opens, and one byte more, which it does not. Without huge_file it opens none of
// more than 2 TiB, but e2fsck leaves them be.
#include <fmt/format.h>

#include "tests/cli/cli_support.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

struct SizeLimit {
  const char *block_size, *features;
  uint64_t largest;  // bytes
};

constexpr SizeLimit kSizeLimits[] = {
    {"1024", "huge_file", 0x3fffffffc00},           {"4096", "huge_file", 0xffffffff000},
    {"1024", "^huge_file", 0x3fffffffc00},          {"16384", "huge_file", 0x3fffffffc000},
    {"1024", "^extents,^64bit", 17247252480},       {"4096", "^extents,^64bit,^huge_file", 4402345721856},
    {"16384", "^extents,^64bit", 1126174852055040},
};

bool has_wrong_size(const Audit& audit, uint32_t inode) {
  return std::ranges::any_of(audit.findings,
                             [&](const Finding& f) { return f.problem == Problem::inode_size && f.inode == InodeNo(inode); });
}

}  // namespace

TEST_CASE("file is as long as its map and its count of blocks let it be, and no longer", "[audit][repair]") {
  TempDir tree;
  write_file(tree.path() / "file", "contents");
  for (const SizeLimit& limit : kSizeLimits) {
    INFO(limit.block_size << " " << limit.features);
    const TestImage image({"-t", "ext4", "-b", limit.block_size, "-O", std::string("^has_journal,") + limit.features}, "8M",
                          tree.path());
    const uint32_t inode = image.inode_of("/file");
    image.debugfs(fmt::format("sif /file size {}", limit.largest));
    const Audit longest = audit_of(image);
    CHECK(describe(longest.findings) == "");
    CHECK(image.e2fsck() == 0);
    for (const uint64_t size : {limit.largest + 1, uint64_t{1} << 62}) {
      image.debugfs(fmt::format("sif /file size {}", size));
      CHECK(has_wrong_size(audit_of(image), inode));
      check_proven_repair(image, RepairPolicy::all);
    }
  }
}

TEST_CASE("file of 2^32 blocks, of which the last is no logical block", "[audit][repair]") {
  const TestImage image("ext4-1k");
  const uint32_t inode = image.inode_of("/big");
  image.debugfs("sif /big size 0x40000000000");
  CHECK(has_wrong_size(audit_of(image), inode));
  check_proven_repair(image, RepairPolicy::all);
}

TEST_CASE("directory with large_dir that says to be longer than its blocks", "[audit][repair]") {
  const TestImage image("ext4-largedir");
  const uint32_t inode = image.inode_of("/dir");
  for (const char* size : {"0x100000400", "0x40000000000", "0x7fffffff00000000"}) {
    INFO(size);
    image.debugfs(fmt::format("sif /dir size {}", size));
    CHECK(has_wrong_size(audit_of(image), inode));
    check_proven_repair(image, RepairPolicy::all);
  }
}

TEST_CASE("reserved inode that was never set up, with nothing but a size", "[audit][repair]") {
  for (const char* features :
       {"^has_journal", "^has_journal,sparse_super2,^resize_inode", "^has_journal,^resize_inode,^extents,^64bit"})
    for (const uint32_t inode : {1, 5, 7, 9, 10})
      for (const char* size : {"4096", "0x3ffffffffff", "0x40000000000", "0x7fffffff00000000", "0xffffffff00000000"}) {
        INFO(features << ", inode " << inode << ", size " << size);
        const TestImage image({"-t", "ext4", "-b", "1024", "-O", features}, "8M");
        image.debugfs(fmt::format("sif <{}> size {}", inode, size));
        CHECK((audit_of(image).verdict == Verdict::damaged) == (image.e2fsck() != 0));
        check_proven_repair(image, RepairPolicy::all);
      }
}

}  // namespace extscrub::test
