// Inode tables whose descriptors name another place: they are found again, and no file is lost.
#include <fmt/format.h>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// Everything that debugfs can list and read of the tree.
std::string listing(const TestImage& image) {
  return image.debugfs("ls -l /") + image.debugfs("ls -l /dir") + image.debugfs("cat /big") + image.debugfs("cat /dir/file7");
}

void point_table_at(const TestImage& image, uint32_t group, uint64_t block) {
  image.debugfs(fmt::format("set_bg {} inode_table {}", group, block));
}

}  // namespace

TEST_CASE("inode table that its descriptor does not name is found by its contents", "[repair][tables]") {
  struct Case {
    const char* set;
    int64_t off;  // from where the table is; 0: on a file's data
  };
  for (const Case c :
       {Case{"ext4-1k", 0}, Case{"ext4-1k", 5}, Case{"ext4-1k", 9000}, Case{"ext2-1k", 0}, Case{"ext2-1k", 3000},
        Case{"ext4-plain", 0}, Case{"ext4-4k", 0}, Case{"ext4-1group", 0}, Case{"ext4-1group", 2000}, Case{"ext4-noflex", 0}}) {
    INFO(c.set << " " << c.off);
    const TestImage image(c.set);
    const std::string before = listing(image);
    const uint64_t table = image.descriptor(0).bg_inode_table;
    point_table_at(image, 0, c.off ? table + c.off : image.block_of("/big"));
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    const RepairPlan plan = plan_of(*opened, RepairPolicy::all);
    apply(image, plan);
    INFO(describe(plan.after.findings));
    CHECK(plan.proven_clean);
    CHECK(image.descriptor(0).bg_inode_table == table);
    CHECK(listing(image) == before);
    CHECK(plan.losses.empty());
    const Outcome judgement = image.e2fsck_report();
    INFO(judgement.output);
    CHECK(judgement.status == 0);
  }
}

}  // namespace extscrub::test
