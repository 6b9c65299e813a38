// What cannot be read, by reading it or by the list of another program, and whose it is.
#include <algorithm>

#include "tests/cli/cli_support.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

// A small image with one group, whose files lie behind the metadata.
struct DataImage {
  TempDir tree;
  TestImage image{make()};

  TestImage make() const {
    fs::create_directory(tree.path() / "d");
    write_file(tree.path() / "d" / "c", std::string(3000, 'c'));
    write_file(tree.path() / "a", std::string(5000, 'a'));
    write_file(tree.path() / "z", std::string(200 << 10, 'z'));
    return TestImage({"-t", "ext4", "-b", "1024", "-O", "^has_journal"}, "4M", tree.path());
  }
  [[nodiscard]] Audit audited(const AuditOptions& options) const {
    const auto opened = Image::open(image.path());
    REQUIRE(opened);
    auto result = audit(*opened, nullptr, options);
    REQUIRE(result);
    return std::move(*result);
  }
  [[nodiscard]] Audit listed(const UnreadableList& list) const {
    AuditOptions options;
    options.unreadable = &list;
    return audited(options);
  }
  [[nodiscard]] Audit listed(uint64_t block) const { return listed(UnreadableList{0, {{block, block + 1}}}); }
};

// The only one.
Finding finding_of(const Audit& audit) {
  INFO(describe(audit.findings));
  REQUIRE(audit.findings.size() == 1);
  CHECK(audit.verdict == Verdict::damaged);
  return audit.findings[0];
}

// The image loses what lies behind `cut` once its metadata has been read.
struct Cutter : Progress {
  fs::path path;
  uint64_t cut;
  Cutter(fs::path p, uint64_t at) : path(std::move(p)), cut(at) {}
  void phase(std::string_view name, uint64_t) override {
    if (name == "data") fs::resize_file(path, cut);
  }
};

}  // namespace

TEST_CASE("contents of files that are listed as unreadable are named by path and bytes") {
  const DataImage d;
  const Finding f = finding_of(d.listed(d.image.block_of("/z", 3)));
  CHECK(f.problem == Problem::data_unreadable);
  CHECK(f.path == "/z");
  CHECK(f.inode == InodeNo(d.image.inode_of("/z")));
  CHECK(f.logical == 3u);
  CHECK(f.block == BlockNo(d.image.block_of("/z", 3)));
  CHECK(texts_of(f.evidence).found == "bytes 3072-4095");
  CHECK(texts_of(finding_of(d.listed(d.image.block_of("/a", 4))).evidence).found == "bytes 4096-4999");
}

TEST_CASE("a range that reaches over files and metadata is told apart") {
  const DataImage d;
  const Audit audit = d.listed(UnreadableList{1, {{0, d.image.size()}}});
  const auto found = [&](Problem problem, std::string_view path, std::string_view what) {
    return std::ranges::any_of(audit.findings, [&](const Finding& f) {
      return f.problem == problem && f.path == path && texts_of(f.evidence).found == what;
    });
  };
  INFO(describe(audit.findings));
  CHECK(found(Problem::data_unreadable, "/z", "bytes 8192-204799"));
  CHECK(found(Problem::data_unreadable, "/d/c", "bytes 0-2999"));
  CHECK(found(Problem::read_error, "/d", "directory"));
  CHECK(found(Problem::read_error, "/", "directory"));
  CHECK(found(Problem::read_error, "", "block bitmap"));
  CHECK(found(Problem::read_error, "", "inode bitmap"));
  CHECK(found(Problem::read_error, "", "group descriptors"));
}

TEST_CASE("groups with unread descriptors are counted once each, copies of descriptors apart") {
  TempDir directory;
  const auto map = write_file(directory.path() / "map", "0 ?\n0 0x40000000 ?\n");
  const auto list = write_file(directory.path() / "list", "3\n");
  const auto printed = [&](const TestImage& image, const std::string& text) {
    Tool tool;
    CHECK(tool({"audit", "--ddrescue-map", map, image.path()}) == 12);
    INFO(tool.printed());
    CHECK(tool.printed(text));
  };
  const TestImage copies({"-t", "ext4", "-b", "1024"}, "64M");
  printed(
      copies,
      "  verified: 0.0 % of the group descriptors (8 of 8 groups could not be read), 0.0 % of the block bitmaps (8 of 8 groups");
  printed(TestImage({"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"}, "256M"),
          "0.0 % of the group descriptors (32 of 32 groups could not");
  // With descriptors of 64 bytes the second block has those of no group, but is reserved.
  Tool tool;
  CHECK(tool({"audit", "--bad-blocks", list, copies.path()}) == 12);
  CHECK(tool.printed("  verified: not all of the others (1 places could not be read); all else"));
}

TEST_CASE("an unreadable block of an inode table is named by its inodes") {
  const DataImage d;
  const auto table = d.image.descriptor(0).bg_inode_table;
  const uint32_t per_block = 1024u / d.image.superblock().s_inode_size;
  const Finding f = finding_of(d.listed(table + 1));
  CHECK(f.problem == Problem::read_error);
  CHECK(f.group == GroupNo(0));
  CHECK(texts_of(f.evidence).found == fmt::format("inode table, inodes {}-{}", per_block + 1, 2 * per_block));
}

TEST_CASE("nodes of block maps and attribute blocks are named by their inode") {
  const TestImage image("ext4-1k");
  const std::string map = image.debugfs("stat /runs600");
  const auto at = map.find("(ETB0):");
  REQUIRE(at != std::string::npos);
  const uint64_t node = std::stoull(map.substr(at + 7));
  UnreadableList list{0, {{node, node + 1}}};
  AuditOptions options;
  options.unreadable = &list;
  const auto opened = Image::open(image.path());
  const auto audited = audit(*opened, nullptr, options);
  REQUIRE(audited);
  const Finding f = finding_of(*audited);
  CHECK(f.problem == Problem::read_error);
  CHECK(f.path == "/runs600");
  CHECK(texts_of(f.evidence).found == "node of the block map");
}

TEST_CASE("what holds nothing is no loss: free blocks, and blocks that were allocated and never written") {
  const DataImage d;
  CHECK(d.listed(d.image.superblock().s_blocks_count - 1).findings.empty());
  d.image.debugfs("fallocate /a 10 12");
  const uint64_t unwritten = d.image.block_of("/a", 11);
  REQUIRE(unwritten != 0);
  CHECK(d.listed(unwritten).findings.empty());
}

TEST_CASE("a list counts in its own unit, from the begin of the file") {
  const DataImage d;
  const uint64_t block = d.image.block_of("/z", 3);
  for (const uint64_t sector : {2 * block, 2 * block + 1})
    CHECK(texts_of(finding_of(d.listed(UnreadableList{512, {{sector, sector + 1}}})).evidence).found == "bytes 3072-4095");
  CHECK(texts_of(finding_of(d.listed(UnreadableList{1, {{block * 1024 + 1023, block * 1024 + 1025}}})).evidence).found ==
        "bytes 3072-5119");
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  CHECK(d.listed(UnreadableList{65536, {{kMost, kMost + 1}, {5, 5}, {6, 2}}}).findings.empty());

  const fs::path disk = d.tree.path() / "disk";
  write_file(disk, std::string(8192, 'x') + read_file(d.image.path()));
  const auto opened = Image::open(disk, 8192);
  UnreadableList list{1024, {{0, 8}, {block + 8, block + 9}}};
  AuditOptions options;
  options.unreadable = &list;
  const auto audited = audit(*opened, nullptr, options);
  REQUIRE(audited);
  CHECK(texts_of(finding_of(*audited).evidence).found == "bytes 3072-4095");
}

TEST_CASE("contents of files that the device does not give are named") {
  const DataImage d;
  const uint64_t cut = d.image.block_of("/z", 100);
  REQUIRE(cut > d.image.descriptor(0).bg_inode_table + 64);
  const Audit listed = d.listed(UnreadableList{0, {{cut, d.image.superblock().s_blocks_count}}});
  Cutter cutter(d.image.path(), cut * 1024);
  AuditOptions options;
  options.data = true;
  options.jobs = 2;
  options.progress = &cutter;
  const auto opened = Image::open(d.image.path());
  const auto audited = audit(*opened, nullptr, options);
  REQUIRE(audited);
  CHECK(std::ranges::count(audited->findings, Problem::data_unreadable, &Finding::problem) > 0);
  CHECK(describe(audited->findings) == describe(listed.findings));
}

TEST_CASE("what is read is what something uses, but for metadata") {
  const DataImage d;
  AuditOptions options;
  const uint64_t without = d.audited(options).statistics.bytes_read;
  options.data = true;
  // /, /lost+found, /a, /d, /d/c, /z, and the node of the resize inode's map.
  CHECK(d.audited(options).statistics.bytes_read - without == (1 + 12 + 5 + 1 + 3 + 200 + 1) * 1024);
}

TEST_CASE("sound images of every feature set are read in whole, without a finding") {
  for (const std::string& set : feature_sets()) {
    INFO(set);
    const TestImage image(set);
    const auto opened = Image::open(image.path());
    AuditOptions options;
    options.jobs = 1;
    const auto before = audit(*opened, nullptr, options);
    options.data = true;
    const auto alone = audit(*opened, nullptr, options);
    options.jobs = 8;
    const auto together = audit(*opened, nullptr, options);
    REQUIRE(alone);
    REQUIRE(together);
    CHECK(describe(alone->findings) == describe(before->findings));
    CHECK(alone->statistics.bytes_read == together->statistics.bytes_read);
    // /big alone has 400000 bytes.
    CHECK(alone->statistics.bytes_read > before->statistics.bytes_read + 400'000);
    CHECK(alone->statistics.bytes_read - before->statistics.bytes_read <=
          alone->statistics.blocks_in_use * alone->info.block_size);
  }
}
