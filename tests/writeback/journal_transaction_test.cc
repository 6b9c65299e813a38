// A transaction made for a journal, in every format and place, put into an image and replayed again: by the replay here,
// and by e2fsck.
#include <map>
#include <random>

#include "scan/filesystem/inode_table.h"
#include "tests/support/catch.h"
#include "tests/support/recovered.h"
#include "writeback/commit/journal_transaction.h"

namespace extscrub::test {

namespace {

using namespace jbd2;
using Content = std::map<uint64_t, std::vector<std::byte>>;  // by block

constexpr uint64_t kFirst = 20001, kSecond = 20002, kThird = 20003, kRest = 20100;

// What is staged over a recovered image, as blocks of a transaction.
Content staged_in(const Recovered& r, const JournalSpace& space) {
  Content content;
  for (const StagedBlock& s : r.overlay->staged())
    if (s.block != space.superblock) content[s.block.value] = {s.after.begin(), s.after.end()};
  return content;
}

void stage(Recovered& r, uint64_t block, const std::vector<std::byte>& bytes) {
  auto target = r.overlay->edit(BlockNo(block));
  REQUIRE(target);
  std::ranges::copy(bytes, target->begin());
}

JournalSpace space_in(const Recovered& r) { return find_journal_space(r.image, *r.overlay, r.recovery.journal, {}); }

JournalTransaction transaction_of(const JournalSpace& space, const Content& content) {
  std::vector<BlockImage> blocks;
  for (const auto& [block, bytes] : content) blocks.push_back({BlockNo(block), bytes});
  REQUIRE(obstacle(space, blocks.size(), blocks.back().block) == "");
  return make_transaction(space, blocks, 1'700'000'000);
}

void write_log(const TestImage& image, const JournalTransaction& transaction) {
  for (const BlockImage& b : transaction.log) image.write(image.offset(b.block.value), b.bytes);
}

// Makes the transaction the log; the superblock that is stored says that recovery is needed.
void make_valid(const TestImage& image, const JournalSpace& space, const JournalTransaction& transaction) {
  image.write(image.offset(space.superblock.value), transaction.superblock);
  image.debugfs("feature needs_recovery");
}

void check_replay(const TestImage& image, const Content& content) {
  const Recovered again(image);
  CHECK(again.recovery.journal.defects.empty());
  CHECK(again.recovery.journal.transactions == 1);
  CHECK(again.recovery.journal.replayed_blocks == content.size());
  CHECK(again.recovery.journal.revoked_blocks == 0);
  for (const auto& [block, bytes] : content)
    if (block != 1) CHECK(again.block(block) == bytes);  // the recovery itself changes the superblock

  const TestImage copy = image.copy();
  const Outcome e2fsck = run({"e2fsck", "-y", "-E", "journal_only", copy.path()});
  INFO(e2fsck.output);
  CHECK(e2fsck.status <= 1);
  std::vector<std::byte> is(copy.block_size());
  for (const auto& [block, bytes] : content) {
    copy.read(copy.offset(block), is);
    if (block != 1) CHECK(is == bytes);
  }
}

// A log with transactions to be replayed, one of them cut short, or an empty one.
enum class Held { nothing, two_transactions, and_one_cut_short };

void fill_log(JournalLog& log, Held held) {
  if (held == Held::nothing) return;
  log.descriptor({{kFirst, log.block_of('a')}, {kSecond, log.block_of('b')}, {kThird, log.block_of('c')}});
  log.commit();
  log.descriptor({{kFirst, log.block_of('d')}});
  log.commit();
  if (held == Held::and_one_cut_short) log.descriptor({{kFirst, log.block_of('x')}, {kSecond, log.block_of('y')}});
}

// The log of `image` in that format, and what a repair stages over its replay.
struct Prepared {
  Prepared(const TestImage& image, const LogFormat& format, Held held) {
    JournalLog log(image, format);
    fill_log(log, held);
    if (held == Held::nothing) {  // as after a clean unmount
      image.poke(log.offset_of(0) + kStart, uint32_t{0});
      if (format.incompat & (kIncompatCsumV2 | kIncompatCsumV3)) log.seal_super();
      image.debugfs("feature -needs_recovery");
    }
    recovered.emplace(image);
    auto magic = log.block_of('m');
    put_be32(magic, 0, kMagic);
    stage(*recovered, kRest, magic);
    stage(*recovered, kSecond, log.block_of('B'));
    stage(*recovered, kThird, log.block_of('\0'));  // as it is on the disk: no transaction needs it
    if (held == Held::nothing) stage(*recovered, kFirst, log.block_of('d'));
    space = space_in(*recovered);
  }
  std::optional<Recovered> recovered;
  JournalSpace space;
};

}  // namespace

TEST_CASE("transaction in every format, in a log that is empty or holds others", "[transaction]") {
  for (const LogFormat& format : log_formats()) {
    for (const Held held : {Held::nothing, Held::two_transactions, Held::and_one_cut_short}) {
      INFO("version " << format.version << ", compat " << format.compat << ", incompat " << format.incompat << ", held "
                      << static_cast<int>(held));
      const TestImage image("ext4-plain");
      const Prepared p(image, format, held);
      REQUIRE(p.space.unfit == "");
      const Content content = staged_in(*p.recovered, p.space);
      REQUIRE(content.contains(kFirst));
      REQUIRE(content.contains(kRest));
      REQUIRE_FALSE(content.contains(kThird));
      const JournalTransaction transaction = transaction_of(p.space, content);
      CHECK(transaction.log.size() == log_blocks_needed(p.space, content.size()));
      write_log(image, transaction);
      {  // Until the superblocks say so, the log is what it was.
        const Recovered before(image);
        CHECK(before.recovery.journal.defects.empty());
        CHECK(before.recovery.journal.transactions == (held == Held::nothing ? 0u : 2u));
        CHECK(before.block(kRest) == std::vector<std::byte>(image.block_size()));
      }
      make_valid(image, p.space, transaction);
      check_replay(image, content);
      CHECK(Recovered(image).block(kThird) == std::vector<std::byte>(image.block_size()));
    }
  }
}

TEST_CASE("transaction of several descriptors that goes over the log's end", "[transaction]") {
  const uint32_t incompat = GENERATE(0u, uint32_t{kIncompatCsumV2}, kIncompatCsumV3 | kIncompat64Bit);
  const TestImage image("ext4-plain");
  const uint32_t length = JournalLog(image, {}).length();
  LogFormat format{.incompat = incompat};
  format.start = length - 40;
  Prepared p(image, format, Held::two_transactions);
  std::mt19937 random(7);
  for (uint64_t block = kRest; block < kRest + 400; ++block) {
    std::vector<std::byte> bytes(image.block_size());
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    if (block % 9 == 0) put_be32(bytes, 0, kMagic);
    stage(*p.recovered, block, bytes);
  }
  p.space = space_in(*p.recovered);
  const Content content = staged_in(*p.recovered, p.space);
  const JournalTransaction transaction = transaction_of(p.space, content);
  CHECK(transaction.log.front().block > transaction.log.back().block);
  write_log(image, transaction);
  make_valid(image, p.space, transaction);
  check_replay(image, content);
}

TEST_CASE("transaction that fills the log to the last block, and one that does not fit", "[transaction]") {
  const TestImage image("ext4-plain");
  Prepared p(image, {.incompat = kIncompatCsumV3}, Held::two_transactions);
  const uint64_t room = p.space.free.size();
  uint64_t most = room;
  while (log_blocks_needed(p.space, most) > room) --most;
  CHECK(most > room - room / 20);
  CHECK(obstacle(p.space, most, BlockNo(5)) == "");
  CHECK(obstacle(p.space, most + 1, BlockNo(5)) ==
        fmt::format("the journal has too little room: {} blocks needed, {} free", room + 1, room));
  uint64_t count = staged_in(*p.recovered, p.space).size();
  for (uint64_t block = kRest + 1; count < most; ++block, ++count)
    stage(*p.recovered, block, std::vector<std::byte>(image.block_size(), static_cast<std::byte>(block | 1)));
  const Content content = staged_in(*p.recovered, p.space);
  REQUIRE(content.size() == most);
  const JournalTransaction transaction = transaction_of(p.space, content);
  write_log(image, transaction);
  CHECK(Recovered(image).recovery.journal.transactions == 2);  // what the log holds is not written over
  make_valid(image, p.space, transaction);
  check_replay(image, content);
}

TEST_CASE("block behind 2^32 needs a log with numbers of 64 bits", "[transaction]") {
  const TestImage image("ext4-plain");
  const uint32_t incompat = GENERATE(uint32_t{kIncompatCsumV3}, kIncompatCsumV3 | kIncompat64Bit);
  const Prepared p(image, {.incompat = incompat}, Held::nothing);
  const bool wide = incompat & kIncompat64Bit;
  CHECK(obstacle(p.space, 3, BlockNo(uint64_t{1} << 32)).empty() == wide);
  CHECK(obstacle(p.space, 3, BlockNo(UINT32_MAX)).empty());
}

TEST_CASE("what keeps a repair out of the journal is named", "[transaction]") {
  const auto unfit = [](const TestImage& image, const std::function<void(Recovered&)>& change = {}) {
    Recovered r(image);
    if (change) change(r);
    return space_in(r).unfit;
  };
  CHECK(unfit(TestImage("ext4-1k")) == "");
  CHECK(unfit(TestImage("ext2-1k")) == "the file system has no journal");

  const TestImage image("ext4-plain");
  const auto journal_block = image.block_of("<8>", 3);
  CHECK(unfit(image, [&](Recovered& r) { stage(r, journal_block, std::vector<std::byte>(1024, std::byte{7})); }) ==
        "the journal itself is repaired");
  CHECK(unfit(image, [&](Recovered& r) {
          auto raw = edit_inode(r.fs, *r.overlay, InodeNo(EXT2_JOURNAL_INO));
          (*raw)[offsetof(ext2_inode, i_mtime)] ^= std::byte{1};
        }) == "the journal itself is repaired");
  // Of one group there is no copy that would be believed instead.
  const TestImage alone({"-t", "ext4", "-b", "4096", "-J", "size=4"}, "32M");
  CHECK(unfit(alone, [&](Recovered& r) {
          auto block = r.overlay->edit(BlockNo(alone.descriptor_offset(0) / alone.block_size()));
          (*block)[alone.descriptor_offset(0) % alone.block_size() + offsetof(ext2_group_desc, bg_inode_bitmap)] ^= std::byte{1};
        }) == "bitmaps or inode tables get other places");

  const TestImage damaged("ext4-plain");
  damaged.poke(damaged.offset(damaged.block_of("<8>")) + kMaxLen, uint32_t{0});
  CHECK(unfit(damaged) == "the journal is damaged");

  const TestImage no_primary("ext4-1k");
  no_primary.fill(kSuperblockOffset, kSuperblockSize, std::byte{0});
  const auto image_file = Image::open(no_primary.path());
  REQUIRE(image_file);
  const Overlay nothing(*image_file, 1024);
  CHECK(find_journal_space(*image_file, nothing, {}, {}).unfit == "the primary superblock is damaged");
}

TEST_CASE("a transaction goes behind the newest one, and over nothing that is to be kept", "[journal]") {
  const TestImage image("ext4-1k");
  Recovered r(image);
  stage(r, image.block_of("/big"), std::vector<std::byte>(image.block_size(), std::byte{7}));
  const JournalSpace all = space_in(r);
  REQUIRE(all.unfit == "");
  const uint32_t head = all.first + 100;
  const JournalSpace behind = find_journal_space(r.image, *r.overlay, r.recovery.journal, {head, {}});
  CHECK(behind.first == head);
  CHECK(behind.free.size() == all.free.size());
  CHECK(behind.free.front() == all.free[100]);
  CHECK(behind.free.back() == all.free[99]);
  const JournalSpace spared = find_journal_space(r.image, *r.overlay, r.recovery.journal, {head, {head + 7}});
  CHECK(spared.free.size() == 7);
  CHECK(find_journal_space(r.image, *r.overlay, r.recovery.journal, {head, {head}}).free.empty());
}

}  // namespace extscrub::test
