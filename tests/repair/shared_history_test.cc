// Whose a block is that two files claim, by what the journal has of their pointers; and what is done where nothing tells.
#include <fmt/format.h>

#include <fstream>

#include "scan/format/checksum.h"
#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/support/past_image.h"
#include "tests/support/tree_snapshot.h"

namespace extscrub::test {

namespace {

constexpr uint32_t kFirst = 1000, kSecond = 1001;

// Two users, each with one file of one block: nothing in the maps tells whose a block is.
class TwoUsers {
 public:
  explicit TwoUsers(const std::vector<std::string>& options) : past_(TestImage(options, "8M")) {
    past_.write({"mkdir /a", "mkdir /b"});
    past_.write({request("/a/file", kFirst), fmt::format("sif /a/file uid {}", kFirst), "sif /a/file mode 0100600"});
    past_.write({request("/b/file", kSecond), fmt::format("sif /b/file uid {}", kSecond), "sif /b/file mode 0100600"});
    for (const auto& [path, uid] : {std::pair("/a/file", kFirst), {"/b/file", kSecond}})
      past_.write({fmt::format("sif {} gid {}", path, uid)});
  }

  [[nodiscard]] const TestImage& image() const { return past_.image(); }
  PastImage& past() { return past_; }

  // The pointer of `thief` names the other's block, as if it had been written like that.
  void steal(const std::string& thief, const std::string& victim) const {
    const uint32_t ino = image().inode_of(thief), block = static_cast<uint32_t>(image().block_of(victim));
    const bool extents = image().superblock().s_feature_incompat & EXT3_FEATURE_INCOMPAT_EXTENTS;
    image().poke(image().map_offset(ino) + (extents ? sizeof(ext3_extent_header) + offsetof(ext3_extent, ee_start) : 0), block);
    const auto opened = Image::open(image().path());
    const auto fs = load_superblock(*opened, nullptr, {});
    REQUIRE(fs);
    if (!fs->geometry.metadata_csum()) return;
    std::vector<std::byte> raw(fs->geometry.inode_size);
    image().read(image().inode_offset(ino), raw);
    seal_inode(fs->geometry, InodeNo(ino), raw);
    image().write(image().inode_offset(ino), raw);
  }

 private:
  std::string request(const std::string& path, uint32_t uid) {
    const auto source = sources_.path() / fmt::to_string(uid);
    std::ofstream file(source);
    while (file.tellp() < 900) file << mark_of(uid);
    return fmt::format("write {} {}", source.string(), path);
  }

  TempDir sources_;
  PastImage past_;
};

const std::vector<std::string> kExt3 = {"-t", "ext3", "-b", "1024", "-J", "size=1", "-N", "64", "-I", "128"};
const std::vector<std::string> kExt4 = {"-t", "ext4", "-b", "1024", "-J", "size=1", "-N", "64"};

}  // namespace

TEST_CASE("of two files with one block the one keeps it whose pointer was written so", "[leaks][repair]") {
  for (const auto& options : {kExt3, kExt4})
    for (const bool first : {true, false}) {
      const TwoUsers users(options);
      const std::string thief = first ? "/a/file" : "/b/file", victim = first ? "/b/file" : "/a/file";
      const TreeSnapshot before = take_snapshot(users.image().path());
      REQUIRE(before.leaks.empty());
      users.steal(thief, victim);
      REQUIRE_FALSE(take_snapshot(users.image().path()).leaks.empty());
      check_proven_repair(users.image(), RepairPolicy::all);
      const TreeSnapshot after = take_snapshot(users.image().path());
      INFO(options[1] << ": " << thief);
      CHECK(after.leaks.empty());
      CHECK(after.files.at(victim) == before.files.at(victim));
      CHECK(after.files.size() == before.files.size());
    }
}

TEST_CASE("a block that may be either of two users' goes to root, and to neither of them", "[leaks][repair]") {
  for (const auto& options : {kExt3, kExt4}) {
    TwoUsers users(options);
    users.past().forget(100'000);  // newer versions may have been in the log
    users.past().log({});
    const TreeSnapshot before = take_snapshot(users.image().path());
    users.steal("/a/file", "/b/file");
    const Image opened = *Image::open(users.image().path());
    const RepairPlan plan = plan_of(opened, RepairPolicy::all);
    CHECK(plan.proven_clean);
    apply(users.image(), plan);
    CHECK(users.image().e2fsck() == 0);
    const TreeSnapshot after = take_snapshot(users.image().path());
    INFO(options[1] << "\n" << describe(plan.before.findings));
    for (const Loss& l : plan.losses) UNSCOPED_INFO(l.path << " " << l.inode.value << ": " << l.what);
    CHECK(after.leaks.empty());
    for (const char* path : {"/a/file", "/b/file"}) {
      CHECK(after.files.at(path).blocks.empty());
      CHECK(std::ranges::any_of(plan.losses, [&](const Loss& l) { return l.path == path && l.bytes && l.bytes->first == 0; }));
    }
    const auto kept = std::ranges::find_if(after.files, [](const auto& f) { return f.first.starts_with("/lost+found/#"); });
    REQUIRE(kept != after.files.end());
    CHECK(kept->second.uid == 0);
    CHECK(kept->second.mode == 0100600);
    CHECK(kept->second.blocks == before.files.at("/b/file").blocks);
  }
}

}  // namespace extscrub::test
