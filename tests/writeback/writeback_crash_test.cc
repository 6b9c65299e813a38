// Breaks every operation of a commit in turn, and cuts the power after every one: the image that is left never says
// that it is clean unless it holds either what it held before or the whole repair.
#include "tests/writeback/writeback_support.h"
#include "writeback/commit/commit.h"

namespace extscrub::test::wb {

namespace {

TestImage sample(uint32_t block_size, bool checksum) {
  ImageOptions options;
  options.block_size = block_size;
  options.tail = 700;
  options.checksum = checksum;
  return TestImage(options);
}

void stage_some(TestImage& image) { image.stage({0, 1, 2, 7, 8, 20, 21, 40, 64}); }

bool tells_the_truth(const TestImage& image, const std::vector<std::byte>& now) {
  if (now == image.original() || now == image.repaired()) return true;
  const auto sb = load<Superblock>(now, image.options().offset + kSuperblockOffset);
  return !says_clean(sb) || !is_sound_superblock(sb);
}

}  // namespace

TEST_CASE("every operation of a commit fails in turn: the image tells the truth, the report too") {
  const uint32_t block_size = GENERATE(1024u, 4096u);
  const uint32_t alignment = GENERATE(512u, 4096u);
  const auto how = GENERATE(Break::fail, Break::torn, Break::fail_from, Break::lose);
  const auto operation = GENERATE(Operation::write, Operation::flush, Operation::read);
  if (operation != Operation::write && how != Break::fail && how != Break::fail_from) return;
  TestImage image = sample(block_size, GENERATE(true, false));
  stage_some(image);
  const QueueKind kind = generate_queue_kind(image.path());
  size_t faults = 0;
  for (size_t n = 0;; ++n) {
    write_file(image.path(), image.original());
    std::filesystem::remove(sidecar_path(image.path()));
    Log log;
    log.rule = breaking(how, operation, n);
    const auto report = commit_with_faults(image.request(kind), log, alignment);
    if (log.count(operation) <= n) break;
    ++faults;
    INFO("fault " << n << ": " << text_of(report));
    const auto now = image.now();
    REQUIRE(now.size() == image.original().size());
    REQUIRE(tells_the_truth(image, now));
    REQUIRE(report.outcome != CommitOutcome::nothing_to_do);
    if (report.outcome == CommitOutcome::committed) {
      REQUIRE(how == Break::lose);  // the lost write was the same as what was there before
      REQUIRE(now == image.repaired());
    } else if (report.outcome == CommitOutcome::refused) {
      REQUIRE(now == image.original());
    } else {
      REQUIRE(report.outcome == CommitOutcome::errored);
      REQUIRE(report.marked != !report.sidecar.empty());
      // A mark that cannot be read back is not believed: there may be one, and a sidecar all the same.
      if (report.marked) REQUIRE((load<ext2_super_block>(now, kSuperblockOffset).s_state & 3) == 2);
    }
  }
  CHECK(faults >= 4);
}

TEST_CASE("every write of a commit is short in turn: the repair is whole all the same") {
  TestImage image = sample(GENERATE(1024u, 4096u), true);
  stage_some(image);
  const QueueKind kind = generate_queue_kind(image.path());
  for (size_t n = 0;; ++n) {
    write_file(image.path(), image.original());
    Log log;
    log.rule = breaking(Break::shorten, Operation::write, n);
    const auto report = commit_with_faults(image.request(kind), log);
    INFO("write " << n << ": " << text_of(report));
    REQUIRE(report.outcome == CommitOutcome::committed);
    REQUIRE(image.now() == image.repaired());
    if (log.count(Operation::write) <= n) break;
  }
}

TEST_CASE("power cut after every operation, with any part of what was not flushed lost or torn") {
  const bool checksum = GENERATE(true, false);
  const size_t fail_at = GENERATE(SIZE_MAX, 3u, 5u);  // a commit that succeeds; two that end in the mark
  TestImage image = sample(GENERATE(1024u, 4096u), checksum);
  stage_some(image);
  Log log;
  log.rule = fail_write(fail_at);
  const auto report = commit_with_faults(image.request(), log, 512);
  REQUIRE(report.outcome == (fail_at == SIZE_MAX ? CommitOutcome::committed : CommitOutcome::errored));

  std::vector<Event> events;
  for (const Event& e : log.events())
    if (e.operation != Operation::read) events.push_back(e);
  std::mt19937 random(1);
  for (size_t end = 0; end <= events.size(); ++end) {
    size_t flushed = 0;
    for (size_t i = 0; i < end; ++i)
      if (events[i].operation == Operation::flush) flushed = i;
    for (int round = 0; round < 20; ++round) {
      auto disk = image.original();
      for (size_t i = 0; i < end; ++i) {
        if (events[i].operation != Operation::write || events[i].index == fail_at) continue;
        // A disk writes whole sectors, in any order, until it is told to flush.
        for (size_t at = 0; at < events[i].length; at += 512) {
          if (i > flushed && round > 0 && random() % 2 == 0) continue;
          std::memcpy(disk.data() + events[i].at + at, events[i].data.data() + at, std::min<size_t>(512, events[i].length - at));
        }
      }
      INFO("after operation " << end << ", round " << round);
      REQUIRE(tells_the_truth(image, disk));
    }
  }
}

}  // namespace extscrub::test::wb
