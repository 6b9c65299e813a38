// Scrubs of a real, damaged image with every write, flush and read broken in turn, and with the power cut after every
// operation: through the journal and in place. The image that is left is judged by a whole audit: it never says that it
// is clean while it is damaged, it does not grow, undo gives back its bytes, and with the journal it is, behind the
// replay, either what it was or wholly repaired.
#include "cli/sandbox/sanitized.h"
#include "tests/support/scrub_sample.h"

namespace extscrub::test::wb {

namespace {

constexpr size_t kStep = kSanitized ? 23 : 1;  // of the states, every which one is looked at

struct Broken {
  Break how;
  Operation operation;
};

constexpr Broken kBroken[] = {
    {Break::fail, Operation::write}, {Break::torn, Operation::write},      {Break::fail_from, Operation::write},
    {Break::lose, Operation::write}, {Break::shorten, Operation::write},   {Break::fail, Operation::flush},
    {Break::fail, Operation::read},  {Break::fail_from, Operation::flush},
};

CommitWay generate_way() { return GENERATE(CommitWay::journal, CommitWay::direct); }

}  // namespace

TEST_CASE("sweep: every operation of a scrub breaks in turn", "[sweep][behaviour-17][behaviour-18][behaviour-19]") {
  const Sample sample(generate_way());
  size_t faults = 0;
  for (const Broken& broken : kBroken) {
    for (size_t n = 0;; n += kStep) {
      sample.restore();
      Log log;
      log.rule = breaking(broken.how, broken.operation, n);
      const CommitReport report = sample.commit(log);
      if (log.count(broken.operation) <= n) break;
      ++faults;
      INFO((sample.request().way == CommitWay::journal ? "journal" : "direct")
           << ", break " << static_cast<int>(broken.how) << " of operation " << static_cast<int>(broken.operation) << " " << n
           << ": " << text_of(report));
      if (broken.how == Break::shorten) REQUIRE(report.outcome == CommitOutcome::committed);
      REQUIRE(report.outcome != CommitOutcome::nothing_to_do);
      sample.judge(report.outcome == CommitOutcome::committed);
      sample.undo();
    }
  }
  CHECK(faults >= std::size(kBroken));  // each kind came to pass
}

TEST_CASE("sweep: the power goes after every operation of a scrub, and any part of what was not flushed is lost",
          "[sweep][behaviour-25]") {
  const Sample sample(generate_way());
  sample.restore();
  Log log;
  REQUIRE(sample.commit(log).outcome == CommitOutcome::committed);
  sample.judge(true);
  std::vector<Event> events;
  for (const Event& e : log.events())
    if (e.operation != Operation::read) events.push_back(e);
  const auto undo_log = read_file(sample.path().string() + ".undo");
  std::mt19937 random(1);
  size_t states = 0;
  for (size_t end = 0; end <= events.size(); ++end) {
    for (int round = 0; round < 6; ++round, ++states) {
      const auto disk = after_power_cut(sample.original(), events, end, round == 0, random);
      if (states % kStep != 0) continue;
      INFO((sample.request().way == CommitWay::journal ? "journal" : "direct")
           << ", after operation " << end << ", round " << round);
      write_file(sample.path(), disk);
      write_file(sample.path().string() + ".undo", undo_log);
      sample.judge(false);
      sample.undo();
    }
  }
}

}  // namespace extscrub::test::wb
