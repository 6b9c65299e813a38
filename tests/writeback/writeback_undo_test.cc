// Undo logs put to use: the old bytes come back, by extscrub and by e2undo, whatever happens on the way.
#include <endian.h>

#include "tests/cli/undo_support.h"

namespace extscrub::test::wb {

namespace {

const std::initializer_list<uint64_t> kSome = {0, 1, 2, 7, 8, 20, 21, 40, 63};

// The image with a journal in block 32 that the repair replays, and empties.
CommitRequest stage_replay(TestImage& image) {
  auto sb_bytes = image.superblock_before();
  auto sb = load<ext2_super_block>(sb_bytes);
  sb.s_feature_incompat |= 0x4;  // RECOVER
  store(sb_bytes, 0, sb);
  seal_superblock(sb_bytes);
  image.put_superblock(sb_bytes);
  std::vector<std::byte> journal(image.options().block_size);
  store(journal, 0, htobe32(0xC03B3998));
  store(journal, 4, htobe32(4));
  store(journal, 0x1C, htobe32(1));  // s_start
  image.put_block(32, journal);
  auto after = journal;
  store(after, 0x1C, 0u);
  image.stage({3, 5, 20});
  image.stage(32, after);
  CommitRequest request = request_with_undo(image);
  request.journal_superblock = BlockNo(32);
  return request;
}

std::vector<Event> writes_and_flushes(const Log& log) {
  std::vector<Event> events;
  for (const Event& e : log.events())
    if (e.operation != Operation::read) events.push_back(e);
  return events;
}

// Somebody has changed the image since. Returns why it was refused.
std::string check_refused_but_forced(const TestImage& image, const std::vector<std::byte>& changed) {
  write_file(image.path(), changed);
  Log log;
  const auto report = undo_with_faults(image, log);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK_THAT(text_of(report), Catch::Contains("--force"));
  CHECK(log.count(Operation::write) == 0);
  CHECK(image.now() == changed);

  CHECK(undo_image(image, true).outcome == CommitOutcome::committed);
  auto armed = image.original();
  arm_superblock(std::span(armed).subspan<kSuperblockOffset, kSuperblockSize>());
  CHECK(image.now() == armed);
  return text_of(report);
}

}  // namespace

TEST_CASE("undo gives back every byte, and so does e2undo: block sizes, offsets, tails") {
  ImageOptions options;
  options.block_size = GENERATE(1024u, 4096u, 65536u);
  options.offset = GENERATE(0u, 700u, 1048576u + 1536u);
  options.tail = GENERATE(0u, 700u);
  options.checksum = options.tail == 0;
  TestImage image(options);
  image.stage(kSome);
  if (options.tail > 0) image.stage(64);
  const bool by_e2undo = GENERATE(false, true);
  commit_with_undo(image);
  if (by_e2undo) {
    const auto status = run_tool("e2undo " + undo_path(image).string() + " " + image.path().string());
    if (!status) return;
    CHECK(*status == 0);
  } else {
    const auto report = undo_image(image);
    CHECK(text_of(report).empty());
    CHECK(report.outcome == CommitOutcome::committed);
  }
  CHECK(image.now() == image.original());
}

TEST_CASE("undo of more keys than a block of keys has, and of a run longer than a key") {
  ImageOptions options;
  options.block_size = 1024;
  options.blocks = 1500;
  TestImage image(options);
  for (uint64_t block = 3; block < 600; block += 3) image.stage(block);
  for (uint64_t block = 700; block < 1400; ++block) image.stage(block);
  const bool by_e2undo = GENERATE(false, true);
  commit_with_undo(image);
  const auto log = UndoLog::open(undo_path(image));
  REQUIRE(log);
  CHECK(log->keys().size() > 63 * 3);
  if (!by_e2undo)
    CHECK(undo_image(image).outcome == CommitOutcome::committed);
  else if (!run_tool("e2undo " + undo_path(image).string() + " " + image.path().string()))
    return;
  CHECK(image.now() == image.original());
}

TEST_CASE("undo of an image whose superblock was none to go by") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  put_superblock(image, GENERATE(Before::not_valid, Before::erased, Before::bad_checksum, Before::not_valid_bad_checksum));
  image.stage(kSome);
  commit_with_undo(image);
  CHECK(undo_image(image).outcome == CommitOutcome::committed);
  CHECK(image.now() == image.original());
}

TEST_CASE("undo run twice: the second finds the old bytes, flushes, and writes nothing") {
  TestImage image;
  image.stage(kSome);
  commit_with_undo(image);
  REQUIRE(undo_image(image).outcome == CommitOutcome::committed);
  Log log;
  SECTION("all is well") { CHECK(undo_with_faults(image, log).outcome == CommitOutcome::nothing_to_do); }
  SECTION("a flush that fails is no success") {
    log.rule = fail_flush(0);
    CHECK(undo_with_faults(image, log).outcome == CommitOutcome::errored);
  }
  CHECK(log.count(Operation::write) == 0);
  CHECK(log.count(Operation::flush) == 1);
  CHECK(image.now() == image.original());
}

TEST_CASE("undo: armed and flushed first, then blocks, then the old superblock, its valid bit alone and last") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  image.stage({2, 9, 30});
  commit_with_undo(image);
  Log log;
  REQUIRE(undo_with_faults(image, log).outcome == CommitOutcome::committed);
  std::vector<std::string> order;
  for (const Event& e : writes_and_flushes(log)) {
    std::string what = e.operation == Operation::flush ? "flush" : e.queued ? "blocks" : "superblock";
    if (e.operation == Operation::write && !e.queued && (superblock_in(e.data, 0 - e.at).s_state & 1) != 0) what += " valid";
    if (order.empty() || order.back() != what) order.push_back(what);
  }
  CHECK(order ==
        std::vector<std::string>{"superblock", "flush", "blocks", "flush", "superblock", "flush", "superblock valid", "flush"});
}

TEST_CASE("every operation of an undo fails in turn: the image does not lie, and undo run again ends at the old bytes") {
  TestImage image({.block_size = GENERATE(1024u, 4096u), .tail = 700}, fast_directory());
  put_superblock(
      image, GENERATE(Before::valid, Before::not_valid, Before::erased, Before::bad_checksum, Before::not_valid_bad_checksum));
  image.stage(kSome);
  image.stage(64);
  const auto operation = GENERATE(Operation::write, Operation::flush, Operation::read);
  const auto how = GENERATE(Break::fail, Break::torn, Break::fail_from);
  if (operation != Operation::write && how == Break::torn) return;
  commit_with_undo(image);
  size_t faults = 0;
  for (size_t n = 0;; ++n) {
    write_file(image.path(), image.repaired());
    Log log;
    log.rule = breaking(how, operation, n);
    const auto report = undo_with_faults(image, log);
    if (log.count(operation) <= n) break;
    ++faults;
    INFO("fault " << n << ": " << text_of(report));
    REQUIRE_FALSE(is_over(report));
    REQUIRE_FALSE(lies(image, image.now()));
    REQUIRE(is_over(undo_image(image)));
    REQUIRE(image.now() == image.original());
  }
  CHECK(faults >= 3);
}

TEST_CASE("power cut after every operation of an undo: no lie, and undo run again ends at the old bytes") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)}, fast_directory());
  put_superblock(
      image, GENERATE(Before::valid, Before::not_valid, Before::erased, Before::bad_checksum, Before::not_valid_bad_checksum));
  image.stage(kSome);
  commit_with_undo(image);
  Log log;
  REQUIRE(undo_with_faults(image, log, false, 512).outcome == CommitOutcome::committed);
  const auto events = writes_and_flushes(log);
  std::mt19937 random(1);
  for (size_t end = 0; end <= events.size(); ++end) {
    for (int round = 0; round < 6; ++round) {
      write_file(image.path(), after_power_cut(image.repaired(), events, end, round == 0, random));
      INFO("after operation " << end << ", round " << round);
      REQUIRE_FALSE(lies(image, image.now()));
      const auto report = undo_image(image);
      INFO(text_of(report));
      REQUIRE(is_over(report));
      REQUIRE(image.now() == image.original());
    }
  }
}

TEST_CASE("power cut after every operation of a commit, one that fails too: undo ends at the old bytes") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)}, fast_directory());
  put_superblock(
      image, GENERATE(Before::valid, Before::not_valid, Before::erased, Before::bad_checksum, Before::not_valid_bad_checksum));
  image.stage(kSome);
  const size_t fail_at = GENERATE(SIZE_MAX, 3u);
  Log log;
  log.rule = fail_write(fail_at);
  REQUIRE(commit_with_faults(request_with_undo(image), log, 512).undo == UndoLogState::kept);
  std::vector<Event> events = writes_and_flushes(log);
  std::erase_if(events, [&](const Event& e) { return e.operation == Operation::write && e.index == fail_at; });
  std::mt19937 random(1);
  for (size_t end = 0; end <= events.size(); ++end) {
    for (int round = 0; round < 6; ++round) {
      write_file(image.path(), after_power_cut(image.original(), events, end, round == 0, random));
      INFO("after operation " << end << ", round " << round);
      const auto report = undo_image(image);
      INFO(text_of(report));
      REQUIRE(is_over(report));
      REQUIRE(image.now() == image.original());
    }
  }
}

TEST_CASE("undo of a journal's replay: its transactions come back, from a commit that ended and one that failed") {
  TestImage image;
  const auto request = stage_replay(image);
  const auto journal_at = image.extent_of(32).at;
  Log log;
  SECTION("it ended") {
    REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::committed);
    CHECK(load<uint32_t>(image.now(), journal_at + 0x1C) == 0);
  }
  SECTION("it failed") {
    log.rule = fail_writes_to(image.extent_of(20));
    REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::errored);
    // While the undo writes, a mount would replay: the journal's error has to be there until the blocks are.
    CHECK(be32toh(load<uint32_t>(image.now(), journal_at + 0x20)) == 0xFFFFFFFB);
    Log undo_log;
    REQUIRE(undo_with_faults(image, undo_log).outcome == CommitOutcome::committed);
    size_t last_block = 0, journal_whole = SIZE_MAX, over_a_log = 0;
    bool empty = false;  // what a mount would replay in the middle of it
    for (size_t i = 0; i < undo_log.events().size(); ++i) {
      const Event& e = undo_log.events()[i];
      if (e.operation != Operation::write) continue;
      if (e.queued) last_block = i;
      over_a_log += e.queued && !empty;
      if (e.touches(image.extent_of(32))) empty = load<uint32_t>(e.data, 0x1C) == 0;
      if (e.touches(image.extent_of(32)) && load<uint32_t>(e.data, 0x20) == 0) journal_whole = std::min(journal_whole, i);
    }
    CHECK(over_a_log == 0);
    CHECK(last_block < journal_whole);
    CHECK(journal_whole != SIZE_MAX);
  }
  CHECK(is_over(undo_image(image)));
  CHECK(image.now() == image.original());
}

TEST_CASE("image that was mounted since, or another one: refused, nothing written; forced, it does not say clean") {
  TestImage image;
  image.stage({2, 9});
  commit_with_undo(image);
  auto changed = image.now();
  auto sb = superblock_in(changed);
  sb.s_mtime = 12345;
  store(changed, kSuperblockOffset, sb);
  const auto superblock = std::span(changed).subspan<kSuperblockOffset, kSuperblockSize>();
  seal_superblock(superblock);
  check_refused_but_forced(image, changed);
}

TEST_CASE(
    "image in which somebody changed a block since, the superblock as it was: refused, nothing written; forced, not clean") {
  const uint32_t block_size = GENERATE(1024u, 4096u);
  TestImage image({.block_size = block_size});
  image.stage({2, 3, 9});
  commit_with_undo(image);
  auto changed = image.now();
  const size_t at = 9 * size_t{block_size} + 100;
  changed[at] ^= std::byte{1};
  CHECK_THAT(check_refused_but_forced(image, changed), Catch::Contains("block 9 "));

  // One of the blocks has its old bytes already, as after an undo that was cut off: that is no change by others.
  auto half = image.repaired();
  std::ranges::copy(std::span(image.original()).subspan(9 * size_t{block_size}, block_size),
                    half.begin() + 9 * static_cast<std::ptrdiff_t>(block_size));
  write_file(image.path(), half);
  CHECK(undo_image(image).outcome == CommitOutcome::committed);
  CHECK(image.now() == image.original());
}

TEST_CASE("image that is shorter than the undo log knows: refused, nothing written") {
  TestImage image;
  image.stage({2, 63});
  commit_with_undo(image);
  auto shorter = image.now();
  shorter.resize(shorter.size() - 1024);
  write_file(image.path(), shorter);
  Log log;
  const auto report = undo_with_faults(image, log, true);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(log.count(Operation::write) == 0);
  CHECK(image.now() == shorter);
}

TEST_CASE("undo stopped in the middle: the image is armed, and the next undo ends it") {
  TestImage image;
  for (uint64_t block = 2; block < 62; block += 2) image.stage(block);
  commit_with_undo(image);
  UndoRequest request;
  request.log = undo_path(image);
  request.image = image.path();
  int asked = 0;
  const int after = GENERATE(2, 3, 6);
  StopAfter progress([&] { return ++asked > after; });
  request.progress = &progress;
  const auto lock = ImageLock::acquire(image.path());
  REQUIRE(lock);
  const auto report = undo(request, *lock);
  CHECK(report.outcome == CommitOutcome::cancelled);
  CHECK(report.armed);
  CHECK_FALSE(lies(image, image.now()));
  CHECK((image.superblock_now().s_state & 1) == 0);
  request.progress = nullptr;
  CHECK(is_over(undo(request, *lock)));
  CHECK(image.now() == image.original());
}

TEST_CASE("undo log of a commit that was cut off is found beside the image, and not any more when it is over") {
  TestImage image;
  image.stage({3, 9, 20});
  const auto found = [&] { return find_unfinished_undo_logs(image.path(), image.path(), 0); };
  CommitRequest request = image.request();
  request.undo = default_undo_place(image.path(), {});
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {  // no write gets there any more but the arming
    if (e.operation != Operation::write || e.index == 0) return std::nullopt;
    return Fault{static_cast<int64_t>(e.length), 0};
  };
  const auto cut_off = commit_with_faults(request, log);
  CHECK(cut_off.outcome == CommitOutcome::errored);
  CHECK(found() == std::vector{cut_off.undo_file});
  write_file(image.path(), image.original());
  CHECK(found().empty());
  REQUIRE(commit_with_faults(request, *std::make_unique<Log>()).outcome == CommitOutcome::committed);
  CHECK(found().empty());
}

}  // namespace extscrub::test::wb
