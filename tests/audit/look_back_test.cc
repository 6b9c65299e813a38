// Versions of blocks in a log that was written by hand, and what is told of the changes between them.

#include <fmt/format.h>

#include <algorithm>

#include "audit/lost/look_back.h"
#include "cli/report/history_report.h"
#include "tests/support/catch.h"
#include "tests/support/journal_log.h"

namespace extscrub::test {

namespace {

using namespace jbd2;

constexpr uint64_t kLater = 4'000'000'000;  // behind the making of any image

// Logs versions of blocks of an image, a transaction each. What is in place stays.
class Versions {
 public:
  explicit Versions(const TestImage& image)
      : image_(image), log_(image, {.incompat = kIncompatRevoke | kIncompatCsumV3 | kIncompat64Bit}) {}

  void add(uint64_t block, const std::function<void(MutableBytes)>& change = [](MutableBytes) {}) {
    std::vector<std::byte> bytes(image_.block_size());
    image_.read(image_.offset(block), bytes);
    change(bytes);
    log_.descriptor({{block, bytes}});
    log_.commit(kLater + count_++);
  }
  void revoke(uint64_t block) {
    log_.revoke({block});
    log_.commit(kLater + count_++);
  }
  // The log is empty by its superblock: nothing is replayed.
  void close() const {
    std::vector<std::byte> fields(8);
    put_be32(fields, 0, 10 + count_ + 1);
    image_.write(log_.offset_of(0) + kSequence, fields);
    log_.seal_super();
    image_.debugfs("feature -needs_recovery");
  }
  [[nodiscard]] JournalLog& log() { return log_; }

 private:
  const TestImage& image_;
  JournalLog log_;
  uint32_t count_ = 0;
};

Result<extscrub::Past> looked_back(const TestImage& test, const PastRequest& request) {
  const auto image = Image::open(test.path());
  REQUIRE(image);
  AuditOptions options;
  options.jobs = 2;
  return look_back(*image, request, options);
}

// All changes of a version, a line each.
std::string changes_in(const BlockVersion& version) {
  std::string text;
  for (const VersionChange& c : version.changes) text += fmt::format("{}|{}|{}\n", c.what, c.before, c.after);
  return text;
}

}  // namespace

TEST_CASE("versions of an inode, with the names of its fields", "[history]") {
  const TestImage image("ext4-plain");
  const uint32_t ino = image.inode_of("/small");
  const uint64_t at = image.inode_offset(ino), block = at / image.block_size(), offset = at % image.block_size();
  const uint64_t size = image.superblock().s_inode_size;
  const auto before = image.peek<ext2_inode_large>(at);
  Versions versions(image);
  versions.add(block, [&](MutableBytes b) { store(b, offset + offsetof(ext2_inode, i_links_count), uint16_t{7}); });
  versions.add(block, [&](MutableBytes b) {
    store(b, offset + offsetof(ext2_inode, i_links_count), uint16_t{7});
    store(b, (offset + size) % image.block_size() + offsetof(ext2_inode, i_uid), uint16_t{9});  // of another inode
  });
  versions.add(block, [&](MutableBytes b) {
    store(b, offset + offsetof(ext2_inode, i_mtime), uint32_t{100});
    store(b, offset + offsetof(ext2_inode_large, i_mtime_extra), uint32_t{5 << 2});
  });
  versions.close();
  const auto past = looked_back(image, {.inode = InodeNo(ino)});
  REQUIRE(past);
  CHECK(past->inode == InodeNo(ino));
  CHECK(past->transactions.size() == 3);
  REQUIRE(past->asked.size() == 1);
  const BlockPast& table = past->asked[0];
  CHECK(table.block.value == block);
  CHECK(table.what.starts_with("inode table of group 0"));
  REQUIRE(table.versions.size() == 3);  // not the one of another inode
  CHECK(table.versions[0].changes.empty());
  CHECK(table.versions[0].sequence == 10);
  CHECK(table.versions[0].seconds == kLater);
  CHECK(table.versions[1].sequence == 12);
  CHECK(table.versions[1].changes.size() == 2);
  CHECK(changes_in(table.versions[1]).contains("i_mtime|"));
  CHECK(changes_in(table.versions[1]).contains("|1970-01-01T00:01:40.000000005Z\n"));
  CHECK(changes_in(table.versions[1]).contains(fmt::format("inode {}: i_links_count|7|{}\n", ino, before.i_links_count)));
  CHECK(table.versions[2].in_place);
  CHECK(table.versions[2].changes.size() == 1);

  const auto whole = looked_back(image, {.block = BlockNo(block)});
  REQUIRE(whole);
  REQUIRE(whole->asked[0].versions.size() == 4);
  CHECK(changes_in(whole->asked[0].versions[1]).contains("i_uid|0|9\n"));
}

TEST_CASE("versions of a directory, with the names that came and went", "[history]") {
  const TestImage image("ext4-plain");
  const uint64_t block = image.block_of("/dir");
  Versions versions(image);
  versions.add(block, [&](MutableBytes b) {
    std::ranges::fill(b.subspan(24), std::byte{0}), store(b, 16, static_cast<uint16_t>(b.size() - 12));
  });
  versions.add(block);
  versions.close();
  const auto past = looked_back(image, {.path = "/dir"});
  REQUIRE(past);
  REQUIRE(past->asked.size() == 2);
  const BlockPast& entries = past->asked[1];
  CHECK(entries.what == fmt::format("logical block 0 of inode {}", image.inode_of("/dir")));
  REQUIRE(entries.versions.size() == 3);
  CHECK(changes_in(entries.versions[1]).contains(fmt::format("name file1||inode {}\n", image.inode_of("/dir/file1"))));
  CHECK(entries.versions[2].in_place);
  CHECK(entries.versions[2].changes.empty());
  CHECK(past->asked[0].versions.empty());
  const std::string text = text_of(*past);
  CHECK(text.contains("the log has no version of it"));
  CHECK(text.contains(": the oldest that is left"));
  CHECK(text.contains("    in place: as before"));
}

TEST_CASE("versions of bitmaps, descriptors, the superblock and other blocks", "[history]") {
  const TestImage image("ext4-plain");
  const uint64_t bitmap = image.block_bitmap(0), descriptors = image.descriptor_offset(0) / image.block_size(), other = 20001;
  Versions versions(image);
  const auto invert = [](size_t at) { return [=](MutableBytes b) { b[at] = ~b[at]; }; };
  for (const uint64_t block : {bitmap, descriptors, uint64_t{1}, other}) versions.add(block);
  versions.add(bitmap, [](MutableBytes b) { b[0] = std::byte{0xF0}, b[1] = std::byte{0xFF}; });
  versions.add(descriptors, invert(offsetof(ext4_group_desc, bg_free_blocks_count)));
  versions.add(1, [](MutableBytes b) { store(b, offsetof(ext2_super_block, s_mnt_count), uint16_t{77}); });
  versions.add(other, invert(5));
  versions.revoke(other);
  versions.close();
  struct Wanted {
    uint64_t block;
    const char* what;
    const char* change;
  };
  const Wanted kWanted[] = {
      {bitmap, "block bitmap of group 0", "bits cleared||4\n"},
      {descriptors, "group descriptors of group 0", "group 0: bg_free_blocks_count|"},
      {1, "primary superblock", "s_mnt_count|"},
      {other, "free block", "bytes||1\n"},
  };
  for (const Wanted& w : kWanted) {
    CAPTURE(w.what);
    const auto past = looked_back(image, {.block = BlockNo(w.block)});
    REQUIRE(past);
    CHECK(past->asked[0].what == w.what);
    REQUIRE(past->asked[0].versions.size() == 3);
    CHECK(changes_in(past->asked[0].versions[1]).contains(w.change));
    CHECK(past->asked[0].versions[1].revoked == (w.block == other));
    CHECK(past->asked[0].versions[2].in_place);
    CHECK_FALSE(past->asked[0].versions[2].changes.empty());
  }
}

TEST_CASE("version that cannot be read is said to be none", "[history]") {
  const TestImage image("ext4-plain");
  const uint64_t block = image.block_bitmap(0);
  Versions versions(image);
  versions.add(block);
  versions.add(block, [](MutableBytes b) { b[0] = std::byte{0}; });
  versions.add(block);
  versions.close();
  image.fill(versions.log().offset_of(5), 4, std::byte{0x55});
  const auto past = looked_back(image, {.block = BlockNo(block)});
  REQUIRE(past);
  const auto& all = past->asked[0].versions;
  REQUIRE(all.size() == 4);
  CHECK_FALSE(all[1].error.empty());
  CHECK(all[2].error.empty());
  CHECK(all[2].changes.empty());  // since the one before that could be read
  CHECK(text_of(*past).contains("does not match the checksum of its tag"));
}

TEST_CASE("what there is no history of", "[history]") {
  const TestImage image("ext4-plain");
  CHECK_FALSE(looked_back(image, {.block = BlockNo(uint64_t{1} << 40)}));
  CHECK_FALSE(looked_back(image, {.inode = InodeNo(0xFFFFFFFF)}));
  const auto none = looked_back(image, {.path = "/dir/none/file"});
  REQUIRE_FALSE(none);
  CHECK(text_of(none.error()) == "there is no /dir/none/file");
  CHECK_FALSE(looked_back(image, {.path = "/small/x"}));
  CHECK(looked_back(image, {.path = "//dir///file1"})->inode == InodeNo(image.inode_of("/dir/file1")));
  CHECK(looked_back(image, {.path = "/"})->inode == InodeNo(EXT2_ROOT_INO));
  const TestImage with_inline("ext4-inline");
  CHECK(looked_back(with_inline, {.path = "/dir/sub/deeper"})->inode == InodeNo(with_inline.inode_of("/dir/sub/deeper")));
  const auto past = looked_back(TestImage("ext4-1group"), {.path = "/"});
  REQUIRE(past);
  CHECK(past->none == "the file system has no journal");
  CHECK(summary_of(*past) == "no history (the file system has no journal)");
}

}  // namespace extscrub::test
