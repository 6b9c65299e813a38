// Blocks that are not as they were logged last.
#include "scan/stale_blocks.h"

#include <catch2/catch.hpp>

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

std::vector<Seen> stale_in(const TestImage& image, uint64_t since = 0) {
  const Recovered behind(image);
  FileSystem fs = *load_superblock(behind.image, &*behind.overlay, {});
  load_descriptors(fs);
  const Journal journal = open_journal(fs, nullptr);
  const JournalHistory history = read_history(journal, fs, &behind.recovery.journal);
  std::vector<Seen> all;
  for (const StaleBlock& s : find_stale_blocks(journal, history, fs, since)) {
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

}  // namespace extscrub::test
