// What the ring of a log still has behind a recovery: logs written by hand, of one life or of several.

#include <algorithm>
#include <fstream>

#include "scan/format/checksum.h"
#include "scan/format/crc.h"
#include "scan/journal/journal_history.h"
#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/support/recovered.h"

namespace extscrub::test {

namespace {

using namespace jbd2;

// Free blocks of the image, far from anything.
constexpr uint64_t kP = 20001, kQ = 20002, kR = 20003;
constexpr uint64_t kThen = 4'000'000'000;  // behind the making of any image

const LogFormat kWithSums = {.incompat = kIncompatRevoke | kIncompatCsumV3 | kIncompat64Bit};

LogFormat at(uint32_t start, uint32_t sequence, LogFormat format = kWithSums) {
  format.start = start;
  format.sequence = sequence;
  return format;
}

// As an unmount leaves it: all is in place, and the log is empty.
void close_log(const TestImage& image, const JournalLog& log, uint32_t next_sequence, bool seal = true) {
  std::vector<std::byte> fields(8);
  put_be32(fields, 0, next_sequence);
  image.write(log.offset_of(0) + kSequence, fields);
  if (seal) log.seal_super();
  image.debugfs("feature -needs_recovery");
}

// The history of an image behind its recovery.
struct Past {
  explicit Past(const TestImage& image, const Image* device = nullptr, size_t most_copies = kMostCopies)
      : recovered(image, device) {
    fs = *load_superblock(recovered.image, &*recovered.overlay, {});
    load_descriptors(fs);
    journal = open_journal(fs, device);
    history = read_history(journal, fs, &recovered.recovery.journal, most_copies);
  }

  [[nodiscard]] std::vector<uint32_t> sequences() const {
    std::vector<uint32_t> result;
    for (const LoggedTransaction& t : history.transactions) result.push_back(t.sequence);
    return result;
  }
  // What the copies of the block are filled with, oldest first; "!" for one that cannot be read, in brackets what is revoked.
  [[nodiscard]] std::string fills(uint64_t block) const {
    std::string result;
    std::vector<std::byte> bytes(fs.geometry.block_size);
    for (const LoggedCopy& copy : history.of(BlockNo(block))) {
      std::string fill = "!";
      if (read_copy(journal, history, copy, bytes)) fill = static_cast<char>(bytes.back());
      result += copy.revoked ? "(" + fill + ")" : fill;
    }
    return result;
  }
  [[nodiscard]] bool is_newest(uint64_t block, Bytes bytes) const {
    return equals_copy(journal, history, history.of(BlockNo(block)).back(), bytes);
  }

  Recovered recovered;
  FileSystem fs;
  Journal journal;
  JournalHistory history;
};

using Sequences = std::vector<uint32_t>;

}  // namespace

TEST_CASE("history of a log that was replayed, in every format", "[journal]") {
  for (const LogFormat& format : log_formats()) {
    INFO("version " << format.version << ", compat " << format.compat << ", incompat " << format.incompat);
    const TestImage image("ext4-plain");
    JournalLog log(image, format);
    log.descriptor({{kP, log.block_of('a')}, {kQ, log.block_of('b')}});
    log.commit(kThen);
    log.descriptor({{kP, log.block_of('c')}});
    log.descriptor({{kR, log.block_of('d')}});
    log.commit(kThen + 1);
    const Past past(image);
    CHECK(past.sequences() == Sequences{format.sequence, format.sequence + 1});
    REQUIRE(past.history.transactions.size() == 2);
    const LoggedTransaction& second = past.history.transactions[1];
    CHECK(second.seconds == kThen + 1);
    CHECK(second.copies == 2);
    CHECK(second.log_begin == 5);
    CHECK(second.log_end == 10);
    CHECK(past.history.begin_seconds() == kThen);
    CHECK(past.history.unbroken == 0);
    CHECK_FALSE(past.history.bounded);
    CHECK(past.history.copies.size() == 4);
    CHECK(past.fills(kP) == "ac");
    CHECK(past.fills(kQ) == "b");
    CHECK(past.fills(kR) == "d");
    CHECK(past.is_newest(kP, past.recovered.block(kP)));
    CHECK_FALSE(past.is_newest(kP, log.block_of('a')));
    CHECK(past.history.of(BlockNo(kR + 1)).empty());
  }
}

TEST_CASE("history of a log that was closed", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, at(40, 10));
  log.descriptor({{kP, log.block_of('a')}});
  log.commit(kThen);
  close_log(image, log, 12);
  const Past past(image);
  CHECK_FALSE(past.recovered.recovery.journal.needs_recovery);
  CHECK(past.fills(kP) == "");  // what is before it in the ring was never written: it might be the rest of one
  log.descriptor({{kP, log.block_of('b')}});
  log.commit(kThen);
  close_log(image, log, 13);
  const Past later(image);
  CHECK(later.sequences() == Sequences{11});
  CHECK(later.fills(kP) == "b");
}

// What is printed and computed with has to be a date.
TEST_CASE("commit of a time that no clock shows", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, at(40, 10));
  log.descriptor({{kP, log.block_of('a')}});
  log.commit(kThen);
  log.descriptor({{kP, log.block_of('b')}});
  log.commit(~uint64_t{0});
  close_log(image, log, 13);
  CHECK(Past(image).history.begin_seconds() == 253'402'300'799);
  CHECK(describe(audit_of(image).findings) == "");
}

TEST_CASE("revoked copies", "[journal]") {
  for (const LogFormat& format : log_formats()) {
    if (!(format.incompat & kIncompatRevoke)) continue;
    INFO("compat " << format.compat << ", incompat " << format.incompat);
    const TestImage image("ext4-plain");
    JournalLog log(image, format);
    log.descriptor({{kP, log.block_of('a')}, {kQ, log.block_of('b')}, {kR, log.block_of('c')}});
    log.commit(kThen);
    log.revoke({kP, kQ});
    log.descriptor({{kP, log.block_of('d')}, {kQ + 7, log.block_of('e')}});
    log.commit(kThen);
    log.descriptor({{kQ, log.block_of('f')}});
    log.commit(kThen);
    const Past past(image);
    CHECK(past.fills(kP) == "(a)(d)");
    CHECK(past.fills(kQ) == "(b)f");
    CHECK(past.fills(kR) == "c");
    REQUIRE(past.history.transactions.size() == 3);
    CHECK(past.history.transactions[1].revokes == 2);
  }
}

TEST_CASE("transaction that goes over the end of the log", "[journal]") {
  const TestImage image("ext4-plain");
  const uint32_t length = JournalLog(image, {}).length();
  JournalLog log(image, at(length - 3, 10));
  log.descriptor({{kP, log.block_of('x')}});
  log.commit(kThen);
  log.descriptor({{kP, log.block_of('a')}, {kQ, log.block_of('b')}});
  log.descriptor({{kR, log.block_of('c')}});
  log.commit(kThen);
  log.descriptor({{kP, log.block_of('d')}});
  log.commit(kThen);
  const Past past(image);
  CHECK(past.sequences() == Sequences{11, 12});
  CHECK(past.fills(kP) == "ad");
  CHECK(past.fills(kQ) == "b");
  CHECK(past.fills(kR) == "c");
  CHECK(past.history.unbroken == 0);
}

TEST_CASE("ring that was shorter by the fast commits, which the journal no longer tells of", "[journal]") {
  const TestImage image("ext4-fastcommit");
  const JournalLog plain(image, {});
  const uint32_t end = plain.length() - kDefaultFastCommitBlocks;
  LogFormat format = at(end - 4, 10);
  format.end = end;
  JournalLog log(image, format);
  image.fill(log.offset_of(0) + kFastCommitBlocks, 4, std::byte{0});
  log.descriptor({{kP, log.block_of('a')}});
  log.commit(kThen);
  log.descriptor({{kP, log.block_of('b')}, {kQ, log.block_of('b')}});
  log.commit(kThen);
  log.descriptor({{kP, log.block_of('c')}});
  log.commit(kThen);
  close_log(image, log, 14);
  const Past past(image);
  CHECK(past.sequences() == Sequences{11, 12});
  CHECK(past.fills(kP) == "bc");
}

TEST_CASE("logged block that was escaped", "[journal]") {
  for (const LogFormat& format : {at(1, 10), at(1, 10, {})}) {
    const TestImage image("ext4-plain");
    JournalLog log(image, format);
    auto block = log.block_of('m');
    put_be32(block, 0, kMagic);
    log.descriptor({{kP, block}});
    log.commit(kThen);
    const Past past(image);
    REQUIRE(past.history.copies.size() == 1);
    CHECK(past.history.copies[0].escaped);
    std::vector<std::byte> bytes(image.block_size());
    CHECK(read_copy(past.journal, past.history, past.history.copies[0], bytes));
    CHECK(bytes == block);
    CHECK(past.is_newest(kP, block));
    put_be32(block, 0, 0);
    CHECK_FALSE(past.is_newest(kP, block));
  }
}

TEST_CASE("log that begins again at every mount has several generations, the older ones torn", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog old(image, at(1, 10));
  for (const char fill : {'a', 'b', 'c', 'd'}) {
    old.descriptor({{kP, old.block_of(fill)}, {kQ, old.block_of(fill)}});  // four blocks with the commit
    old.commit(kThen + fill);
  }
  JournalLog young(image, at(1, 15));
  young.descriptor({{kR, young.block_of('x')}});
  young.commit(kThen + 1000);
  young.descriptor({{kR, young.block_of('y')}});
  young.commit(kThen + 1001);  // it ends inside the second of the old ones
  close_log(image, young, 18);
  const Past past(image);
  CHECK(past.sequences() == Sequences{12, 13, 15, 16});
  CHECK(past.fills(kP) == "cd");
  CHECK(past.fills(kR) == "xy");
  CHECK(past.history.unbroken == 0);  // 14 went with the unmount
}

TEST_CASE("generations between which one is missing", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog old(image, at(1, 10));
  for (const char fill : {'a', 'b', 'c'}) {
    old.descriptor({{kP, old.block_of(fill)}, {kQ, old.block_of(fill)}});
    old.commit(kThen);
  }
  JournalLog young(image, at(1, 16));  // 14 lay here too
  young.descriptor({{kR, young.block_of('x')}});
  young.commit(kThen);
  close_log(image, young, 18);
  const Past past(image);
  CHECK(past.sequences() == Sequences{11, 12, 16});
  CHECK(past.history.unbroken == 2);

  close_log(image, young, 19);  // nor is the newest there
  CHECK(Past(image).history.unbroken == 3);
}

TEST_CASE("mount that has written over what was replayed before it", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog old(image, at(1, 10));
  old.descriptor({{kP, old.block_of('a')}});
  old.commit(kThen);
  const uint32_t head = old.next();
  old.descriptor({{kP, old.block_of('b')}});  // replayed, and s_head not moved on
  old.commit(kThen);
  JournalLog young(image, at(head, 14));
  young.descriptor({{kQ, young.block_of('c')}});
  young.commit(kThen);
  close_log(image, young, 16);
  const Past past(image);
  CHECK(past.sequences() == Sequences{10, 14});
  CHECK(past.history.unbroken == 1);
}

TEST_CASE("transaction over the log's end whose logged blocks a new generation has written over", "[journal]") {
  for (const bool undone : {false, true}) {
    const TestImage image("ext4-plain");
    const uint32_t length = JournalLog(image, {}).length();
    JournalLog old(image, at(length - 4, 10));
    old.descriptor({{kP, old.block_of('x')}});
    old.commit(kThen);
    std::vector<std::pair<uint64_t, std::vector<std::byte>>> blocks;
    for (uint64_t i = 0; i < 10; ++i) blocks.emplace_back(kP + i, old.block_of('a'));
    old.descriptor(blocks);
    old.commit(kThen);
    old.descriptor({{kQ, old.block_of('b')}});
    old.commit(kThen);
    JournalLog young(image, at(1, 14));
    young.descriptor({{kR, young.block_of('c')}});
    young.commit(kThen);
    close_log(image, young, undone ? 14 : 16);
    const Past past(image);
    CHECK(past.sequences() == (undone ? Sequences{12} : Sequences{12, 14}));
    CHECK(past.fills(kP) == "");
    CHECK(past.fills(kQ) == "b");
  }
}

TEST_CASE("transactions that were undone are no history", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, at(1, 10));
  for (const char fill : {'a', 'b', 'c'}) {
    log.descriptor({{kP, log.block_of(fill)}});
    log.commit(kThen);
  }
  close_log(image, log, 12);
  const Past past(image);
  CHECK(past.sequences() == Sequences{10, 11});
  CHECK(past.fills(kP) == "ab");
}

TEST_CASE("transactions of before the file system was made are no history", "[journal]") {
  const TestImage image("ext4-plain");
  const uint64_t made = image.superblock().s_mkfs_time;
  JournalLog log(image, at(1, 10, {}));
  log.descriptor({{kP, log.block_of('a')}});
  log.commit(made - 1);
  close_log(image, log, 12, false);
  CHECK(Past(image).sequences().empty());
  log.descriptor({{kP, log.block_of('b')}});
  log.commit(made);
  close_log(image, log, 12, false);
  CHECK(Past(image).sequences() == Sequences{10, 11});  // the clock was wrong: they follow each other
}

TEST_CASE("another life of the log: older numbers with later times", "[journal]") {
  for (const bool later : {false, true}) {
    const TestImage image("ext4-plain");
    JournalLog old(image, at(1, 10));
    for (const char fill : {'a', 'b', 'c'}) {
      old.descriptor({{kP, old.block_of(fill)}, {kQ, old.block_of(fill)}});
      old.commit(kThen);
    }
    JournalLog young(image, at(1, 500));
    young.descriptor({{kR, young.block_of('x')}});
    young.commit(later ? kThen - 1 : kThen + 1);
    young.descriptor({{kR, young.block_of('y')}});
    young.commit(kThen - 2);  // the clock was set back
    close_log(image, young, 502);
    const Past past(image);
    CHECK(past.sequences() == (later ? Sequences{500, 501} : Sequences{12, 500, 501}));
  }
}

TEST_CASE("another life of the log: the same numbers again", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog old(image, at(1, 10));
  for (const char fill : {'a', 'b', 'c', 'd'}) {
    old.descriptor({{kP, old.block_of(fill)}, {kQ, old.block_of(fill)}});
    old.commit(kThen);
  }
  JournalLog young(image, at(1, 12));
  for (const char fill : {'x', 'y'}) {
    young.descriptor({{kR, young.block_of(fill)}});
    young.commit(kThen + 1);
  }
  close_log(image, young, 15);
  const Past past(image);
  CHECK(past.sequences() == Sequences{12, 13});
  CHECK(past.fills(kP) == "");
  CHECK(past.fills(kR) == "xy");
}

TEST_CASE("damaged transactions are no history, those before and behind them are", "[journal]") {
  struct Damage {
    const char* name;
    uint32_t log_block;  // 4 descriptor, 5 logged block, 6 commit of the second, the first of which is 1 to 3
    Sequences left;
    const char* fills;
  };
  const Damage kDamage[] = {
      {"descriptor", 4, {10, 12}, "ac"},
      {"logged block", 5, {10, 11, 12}, "a!c"},
      {"commit", 6, {10, 12}, "ac"},
  };
  for (const Damage& d : kDamage) {
    INFO(d.name);
    const TestImage image("ext4-plain");
    JournalLog log(image, kWithSums);
    for (const char fill : {'a', 'b', 'c'}) {
      log.descriptor({{kP, log.block_of(fill)}});
      log.commit(kThen);
    }
    image.fill(log.offset_of(d.log_block) + 100, 4, std::byte{0xEE});
    close_log(image, log, 13);
    const Past past(image);
    CHECK(past.sequences() == d.left);
    CHECK(past.fills(kP) == d.fills);
    CHECK(past.history.unbroken == (d.left.size() == 3 ? 0 : 1));
  }
}

TEST_CASE("checksum of version 1 covers the logged blocks", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, {.compat = kCompatChecksum, .incompat = kIncompatRevoke});
  for (const char fill : {'a', 'b', 'c'}) {
    log.descriptor({{kP, log.block_of(fill)}});
    log.commit(kThen);
  }
  image.fill(log.offset_of(5) + 100, 4, std::byte{0xEE});
  close_log(image, log, 13, false);
  CHECK(Past(image).fills(kP) == "ac");
}

TEST_CASE("descriptors of another format are told from those without checksums", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kWithSums);
  log.descriptor({{kP, log.block_of('a')}});  // a single tag, which both formats have at the same place
  log.commit(kThen);
  const JournalLog plain(image, {});
  close_log(image, plain, 12, false);
  CHECK(Past(image).sequences().empty());
}

TEST_CASE("transaction of debugfs, with what it leaves in its blocks", "[journal]") {
  const TestImage image("ext4-plain");
  const uint64_t before = image.superblock().s_mkfs_time;
  const std::string requests = image.path().parent_path() / "requests";
  std::ofstream(requests) << "jo\njw -b 20001 /dev/zero\njc\n";
  run_or_throw({"debugfs", "-w", "-f", requests, image.path()});
  const Past past(image);
  REQUIRE(past.history.transactions.size() == 1);
  CHECK(past.history.begin_seconds() >= before);
  CHECK(past.history.begin_seconds() < before + 86400);
  CHECK(past.history.of(BlockNo(20001)).size() == 1);
}

TEST_CASE("logged block that a header was written over cannot be read", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, {});
  log.descriptor({{kP, log.block_of('a')}, {kQ, log.block_of('b')}});
  log.commit(kThen);
  const Past past(image);
  CHECK(past.fills(kP) == "a");
  std::vector<std::byte> header(kHeaderSize);
  put_be32(header, 0, kMagic);
  image.write(log.offset_of(2), header);
  CHECK(past.fills(kP) == "!");
}

TEST_CASE("two versions of an extent block, which have one checksum", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kWithSums);
  std::vector<std::vector<std::byte>> versions;
  for (const char fill : {'a', 'b'}) {
    auto block = log.block_of(fill);
    store(block, 0,
          ext3_extent_header{.eh_magic = EXT3_EXT_MAGIC, .eh_entries = 84, .eh_max = 84, .eh_depth = 0, .eh_generation = 0});
    store(block, block.size() - 4, crc32c(77, Bytes(block).first(block.size() - 4)));
    log.descriptor({{kP, block}});
    log.commit(kThen);
    versions.push_back(block);
  }
  const Past past(image);
  CHECK(past.is_newest(kP, versions[1]));
  CHECK_FALSE(past.is_newest(kP, versions[0]));
}

TEST_CASE("logged blocks that belong behind the end of the file system are left out", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kWithSums);
  log.descriptor({{uint64_t{1} << 40, log.block_of('a')}, {kQ, log.block_of('b')}});
  log.commit(kThen);
  close_log(image, log, 12);
  const Past past(image);
  CHECK(past.history.copies.size() == 1);
  CHECK(past.fills(kQ) == "b");
}

TEST_CASE("older transactions are left out for memory", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kWithSums);
  log.descriptor({{kP, log.block_of('a')}, {kQ, log.block_of('b')}});
  log.commit(kThen);
  log.revoke({kQ});
  log.descriptor({{kP, log.block_of('c')}});
  log.commit(kThen);
  log.descriptor({{kQ, log.block_of('d')}});
  log.commit(kThen);
  CHECK_FALSE(Past(image, nullptr, 4).history.bounded);
  const Past past(image, nullptr, 3);
  CHECK(past.history.bounded);
  CHECK(past.sequences() == Sequences{11, 12});
  CHECK(past.fills(kP) == "c");
  CHECK(past.fills(kQ) == "d");
  CHECK(past.history.unbroken == 0);
}

TEST_CASE("log that is nothing but descriptors, or garbage, is no history", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, {});
  for (uint32_t i = 1; i < log.length(); i += 2) log.descriptor({{kP, log.block_of('a')}});
  close_log(image, log, 12, false);
  CHECK(Past(image).sequences().empty());
  for (uint32_t i = 1; i < log.length(); ++i) image.fill(log.offset_of(i), image.block_size(), static_cast<std::byte>(i * 37));
  CHECK(Past(image).sequences().empty());
}

TEST_CASE("image that is cut off inside its journal", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, at(1, 10));
  while (log.next() < log.length() - 3) {
    log.descriptor({{kP, log.block_of('a')}});
    log.commit(kThen);
  }
  close_log(image, log, 10'000);
  const size_t all = Past(image).history.transactions.size();
  REQUIRE(all > 100);
  std::filesystem::resize_file(image.path(), log.offset_of(log.length() / 2));
  CHECK(Past(image).history.transactions.size() == (log.length() / 2 - 1) / 3);
}

TEST_CASE("history of a journal on another device, which stays as it is", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, at(3, 10));
  log.descriptor({{kP, log.block_of('a')}});
  log.commit(kThen);
  log.descriptor({{kP, log.block_of('b')}});
  log.commit(kThen);
  const TestImage other({"-b", "1024", "-O", "journal_dev"}, "8M");
  std::vector<std::byte> block(1024);
  for (uint32_t i = 3; i < log.length(); ++i) {
    image.read(log.offset_of(i), block);
    other.write(uint64_t{i} * 1024, block);
  }
  image.read(log.offset_of(0), block);
  put_be32(block, kFirst, 3);
  put_be32(block, kChecksum, 0);
  put_be32(block, kChecksum, crc32c(~0u, block));
  other.write(2 * 1024, block);
  other.fill(kSuperblockOffset + offsetof(ext2_super_block, s_uuid), 16, std::byte{0x11});
  image.fill(kSuperblockOffset + offsetof(ext2_super_block, s_journal_uuid), 16, std::byte{0x11});
  image.fill(kSuperblockOffset + offsetof(ext2_super_block, s_journal_inum), 4, std::byte{0});
  const Result<Image> device = Image::open(other.path());
  REQUIRE(device);
  const Past past(image, &*device);
  REQUIRE(past.journal.facts.external);
  CHECK(past.sequences() == Sequences{10, 11});
  CHECK(past.fills(kP) == "ab");
  CHECK(past.history.unbroken == 0);
}

}  // namespace extscrub::test
