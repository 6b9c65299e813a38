// Orphans released in memory: deletions and cuts, counted against what e2fsck makes of the same image.
#include <fmt/format.h>

#include "scan/inodes/orphans.h"
#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// Takes the file's last name away and hangs it on the list.
uint32_t orphan(const TestImage& image, const std::string& path, uint32_t next = 0) {
  const uint32_t inode = image.inode_of(path);
  image.debugfs("unlink " + path);
  image.debugfs(fmt::format("sif <{}> links_count 0", inode));
  image.debugfs(fmt::format("sif <{}> dtime {}", inode, next));
  image.debugfs(fmt::format("ssv last_orphan {}", inode));
  return inode;
}

}  // namespace

TEST_CASE("orphaned files are deleted in memory", "[orphans]") {
  for (const char* set : {"ext2-1k", "ext3-1k", "ext4-1k", "ext4-plain", "ext4-bigalloc", "ext4-noextents", "ext4-i128"}) {
    INFO(set);
    const TestImage image(set);
    const uint32_t last = orphan(image, "/three");
    orphan(image, "/dir/file4", last);
    const uint64_t before = image.fingerprint();
    const Audit audit = audit_of(image);
    INFO(describe(audit.findings));
    CHECK(audit.verdict == Verdict::recoverable);
    CHECK(audit.recovery.orphans.deleted == 2);
    CHECK(image.fingerprint() == before);
  }
}

TEST_CASE("orphan with links is cut to its size", "[orphans]") {
  for (const char* set : {"ext2-1k", "ext4-1k", "ext4-plain", "ext4-bigalloc", "ext4-noextents"}) {
    for (const uint32_t size : {0u, 1500u}) {
      INFO(set << " to " << size);
      const TestImage image(set);
      const uint32_t inode = image.inode_of("/three");
      image.debugfs(fmt::format("sif <{}> size {}", inode, size));
      image.debugfs(fmt::format("ssv last_orphan {}", inode));
      const Audit audit = audit_of(image);
      INFO(describe(audit.findings));
      CHECK(audit.verdict == Verdict::recoverable);
      CHECK(audit.recovery.orphans.truncated == 1);
    }
  }
}

TEST_CASE("orphan list that comes back to its begin", "[orphans]") {
  const TestImage image("ext4-1k");
  const uint32_t inode = image.inode_of("/three");
  image.debugfs(fmt::format("sif <{}> dtime {}", inode, inode));
  image.debugfs(fmt::format("ssv last_orphan {}", inode));
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  REQUIRE(audit.recovery.orphans.defects.size() == 1);
  CHECK(audit.recovery.orphans.defects[0].kind == OrphanDefectKind::loop);
  CHECK(audit.verdict == Verdict::damaged);
}

TEST_CASE("orphan of no kind of file is not released", "[orphans]") {
  for (const char* mode : {"0", "0170644"}) {
    INFO(mode);
    const TestImage image("ext4-1k");
    const uint32_t inode = orphan(image, "/three");
    image.debugfs(fmt::format("sif <{}> mode {}", inode, mode));
    const Audit audit = audit_of(image);
    INFO(describe(audit.findings));
    REQUIRE(audit.recovery.orphans.defects.size() == 1);
    CHECK(audit.recovery.orphans.defects[0].kind == OrphanDefectKind::no_file);
    CHECK(audit.verdict == Verdict::damaged);
    CHECK(image.e2fsck() == 4);
  }
}

TEST_CASE("orphan file is told by the magic number of all its blocks and the checksum of one", "[orphans]") {
  const TestImage sound("ext4-orphanfile");
  const uint32_t file = sound.superblock().s_orphan_file_inum;
  const std::string name = fmt::format("<{}>", file);
  const auto found_with = [&](const std::vector<std::pair<uint64_t, uint64_t>>& broken) {  // block, bytes from its end
    const TestImage image = sound.copy();
    for (const auto& [logical, from_end] : broken) {
      const uint64_t at = image.offset(sound.block_of(name, logical) + 1) - from_end;
      image.poke<uint32_t>(at, ~image.peek<uint32_t>(at));
    }
    const auto opened = Image::open(image.path());
    auto fs = load_superblock(*opened, nullptr, {});
    const Overlay plain(*opened, fs->geometry.block_size);
    fs->blocks = &plain;
    load_descriptors(*fs);
    CHECK(is_orphan_file(*fs, InodeNo(file)) == (find_orphan_file(*fs) == InodeNo(file)));
    CHECK(!is_orphan_file(*fs, InodeNo(image.inode_of("/three"))));
    return find_orphan_file(*fs) == InodeNo(file);
  };
  constexpr uint64_t kMagic = 8, kChecksum = 4;
  CHECK(found_with({}));
  CHECK(found_with({{0, kChecksum}}));
  CHECK(!found_with({{1, kMagic}}));
}

TEST_CASE("orphans of an image that carries the error mark are left", "[orphans]") {
  const TestImage image("ext4-1k");
  orphan(image, "/three");
  image.debugfs("ssv state 3");
  const Audit audit = audit_of(image);
  CHECK_FALSE(audit.recovery.orphans.processed);
  CHECK(audit.verdict == Verdict::damaged);
}

TEST_CASE("scrub writes the release of orphans", "[orphans]") {
  const TestImage image("ext4-1k");
  orphan(image, "/three");
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  const RepairPlan plan = plan_of(*opened);
  INFO(describe(plan.after.findings));
  CHECK(plan.proven_clean);
  apply(image, plan);
  INFO(image.e2fsck_report().output);
  CHECK(image.e2fsck() == 0);
}

}  // namespace extscrub::test
