// Blocks that are not as they were logged last.
#include "scan/journal/stale_blocks.h"

#include "scan/load/load_file_system.h"
#include "tests/support/catch.h"
#include "tests/support/past_image.h"
#include "tests/support/recovered.h"

namespace extscrub::test {

namespace {

using Sequence = std::optional<uint32_t>;

struct Seen {
  uint64_t block;
  uint32_t newest;
  Sequence same;
  friend bool operator==(const Seen&, const Seen&) = default;
};

// `looked_at`: blocks that a scan has come by.
std::vector<Seen> stale_in(const TestImage& image, uint64_t since = 0, HistoryCheck::Depth depth = HistoryCheck::Depth::all,
                           std::optional<uint64_t> looked_at = {}) {
  const Recovered behind(image);
  FileSystem fs = *load_superblock(behind.image, &*behind.overlay, {});
  load_descriptors(fs);
  const Journal journal = open_journal(fs, nullptr);
  const JournalHistory history = read_history(journal, fs, &behind.recovery.journal);
  HistoryCheck check(journal, history, fs, since);
  if (looked_at) check.look(BlockNo(*looked_at), behind.block(*looked_at));
  std::vector<Seen> all;
  for (const StaleBlock& s : check.finish(depth)) {
    const auto sequence = [&](const LoggedCopy& copy) { return history.transactions[copy.transaction].sequence; };
    all.push_back({s.block.value, sequence(s.newest), s.same ? Sequence(sequence(*s.same)) : Sequence()});
  }
  return all;
}

uint64_t table_block(const TestImage& image, const std::string& path) {
  return image.inode_offset(image.inode_of(path)) / image.block_size();
}

using Requests = std::vector<std::string>;
const Requests kMode600 = {"sif /small mode 0100600", "sif /small ctime NOW"};
const Requests kMode640 = {"sif /small mode 0100640", "sif /small ctime NOW"};
const Requests kMode644 = {"sif /small mode 0100644", "sif /small ctime NOW"};

}  // namespace

TEST_CASE("blocks that are all as they were logged last, and one that is not", "[stale]") {
  for (const LogFormat& format : log_formats()) {
    INFO("version " << format.version << ", compat " << format.compat << ", incompat " << format.incompat);
    PastImage past(TestImage("ext4-plain"), format);
    past.write(kMode600);
    past.write({"mkdir /dir/new"});
    past.write(kMode640);
    CHECK(stale_in(past.image()).empty());
    const uint64_t block = table_block(past.image(), "/small");
    past.lose(block);
    CHECK(stale_in(past.image()) == std::vector<Seen>{{block, past.sequence(), past.sequence() - 2}});
    past.image().fill(past.image().offset(block) + 900, 4, std::byte{0xEE});
    CHECK(stale_in(past.image()) == std::vector<Seen>{{block, past.sequence(), {}}});
  }
}

TEST_CASE("block that the log has no older copy of", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  past.write(kMode600);
  const uint64_t block = table_block(past.image(), "/small");
  past.lose(block);
  CHECK(stale_in(past.image()) == std::vector<Seen>{{block, past.sequence(), {}}});
}

TEST_CASE("last of several older copies that are the same", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  const uint64_t block = table_block(past.image(), "/small");
  past.write(kMode600);
  past.log({block});
  past.write(kMode640);
  past.lose(block);
  CHECK(stale_in(past.image()) == std::vector<Seen>{{block, past.sequence(), past.sequence() - 1}});
}

TEST_CASE("copies that are as old as what somebody checked, or were revoked, say nothing", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  past.write(kMode600);
  past.write(kMode640);
  const uint64_t block = table_block(past.image(), "/small");
  past.lose(block);
  CHECK(stale_in(past.image(), past.seconds() - 1).size() == 1);
  CHECK(stale_in(past.image(), past.seconds()).empty());
  past.log({}, {block});
  CHECK(stale_in(past.image()).empty());
}

TEST_CASE("copies behind which transactions are missing say nothing", "[stale]") {
  for (const bool missing : {false, true}) {
    PastImage past(TestImage("ext4-1k"));
    past.write(kMode600);
    past.write(kMode640);
    past.lose(table_block(past.image(), "/small"));
    if (missing) past.forget(10);
    past.log({past.image().block_bitmap(0)});
    CHECK(stale_in(past.image()).size() == (missing ? 0 : 1));
  }
}

TEST_CASE("superblock and journal are no stale blocks", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  const TestImage& image = past.image();
  const TestImage other = image.copy();
  const JournalLog log(other, {});
  past.log({1, log.offset_of(500) / image.block_size()});
  image.debugfs("ssv mnt_count 3");
  image.fill(log.offset_of(500), 10, std::byte{0xEE});
  CHECK(stale_in(image).empty());
}

TEST_CASE("block that waits in the log to be written is not stale", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  past.write(kMode600);
  past.write(kMode640);
  past.lose(table_block(past.image(), "/small"));
  past.reopen();
  CHECK(stale_in(past.image()).empty());
}

TEST_CASE("block that was edited past the journal is none of its older copies", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  past.write(kMode600);
  past.write(kMode644);
  past.write_offline(kMode600);  // with another time
  CHECK(stale_in(past.image()) == std::vector<Seen>{{table_block(past.image(), "/small"), past.sequence(), {}}});
}

TEST_CASE("what a scan has come by is not read again", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  past.write(kMode600);
  past.write(kMode640);
  const uint64_t block = table_block(past.image(), "/small");
  const std::vector<Seen> expected = {{block, past.sequence(), past.sequence() - 1}};
  past.lose(block);
  for (const uint64_t looked_at : {block, block - 1, block + 1})
    CHECK(stale_in(past.image(), 0, HistoryCheck::Depth::all, looked_at) == expected);

  const Recovered behind(past.image());
  FileSystem fs = *load_superblock(behind.image, &*behind.overlay, {});
  load_descriptors(fs);
  const Journal journal = open_journal(fs, nullptr);
  const JournalHistory history = read_history(journal, fs, &behind.recovery.journal);
  HistoryCheck check(journal, history, fs, 0);
  // Three blocks at once, the middle one as it should be.
  auto blocks = behind.block(block - 1);
  std::ranges::copy(past.block_as_written(block), std::back_inserter(blocks));
  std::ranges::copy(behind.block(block + 1), std::back_inserter(blocks));
  check.look(BlockNo(block - 1), blocks);
  CHECK(check.finish(HistoryCheck::Depth::all).empty());
}

TEST_CASE("first look: blocks of inode tables, and those of which the log has more than one copy", "[stale]") {
  PastImage past(TestImage("ext4-1k"));
  past.write({"sif / ctime NOW", "symlink /first " + std::string(200, 'f')});
  past.write({"sif / ctime NOW", "symlink /second " + std::string(200, 's')});
  const TestImage& image = past.image();
  const uint64_t target = image.block_of("/second"), root = image.block_of("/"), table = table_block(image, "/");
  for (const uint64_t block : {target, root, table}) past.lose(block);
  const auto blocks = [&](HistoryCheck::Depth depth) {
    std::set<uint64_t> found;
    for (const Seen& seen : stale_in(image, 0, depth)) found.insert(seen.block);
    return found;
  };
  CHECK(blocks(HistoryCheck::Depth::tables) == std::set{root, table});
  CHECK(blocks(HistoryCheck::Depth::all) == std::set{target, root, table});
}

}  // namespace extscrub::test
