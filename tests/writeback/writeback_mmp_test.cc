// The block of multiple-mount protection in a commit: it keeps others away from before the first other write until behind
// the last one, and is at rest then, whatever came of the commit.
#include <ext2fs/ext2_fs.h>

#include "scan/format/crc.h"
#include "tests/writeback/writeback_support.h"
#include "writeback/undo/undo.h"

namespace extscrub::test::wb {

namespace {

constexpr uint64_t kMmpBlock = 10;
constexpr uint32_t kSeed = 4711;

std::vector<std::byte> mmp_block(uint32_t sequence) {
  std::vector<std::byte> block(4096);
  mmp_struct mmp{};
  mmp.mmp_magic = EXT4_MMP_MAGIC;
  mmp.mmp_seq = sequence;
  mmp.mmp_checksum = crc32c(kSeed, bytes_of(mmp).first(offsetof(mmp_struct, mmp_checksum)));
  store(block, 0, mmp);
  return block;
}

CommitRequest protected_request(TestImage& image, uint32_t sequence) {
  image.put_block(kMmpBlock, mmp_block(sequence));
  image.stage({2, 9, 20});
  CommitRequest request = image.request();
  request.mmp = MmpClaim{BlockNo(kMmpBlock), mmp_block(sequence), kSeed};
  return request;
}

mmp_struct mmp_in(Bytes bytes) { return load<mmp_struct>(bytes); }

mmp_struct mmp_now(const TestImage& image) { return mmp_in(Bytes(image.now()).subspan(kMmpBlock * 4096, 4096)); }

bool is_sealed(const mmp_struct& mmp) {
  return mmp.mmp_checksum == crc32c(kSeed, bytes_of(mmp).first(offsetof(mmp_struct, mmp_checksum)));
}

}  // namespace

TEST_CASE("commit says in the MMP block that the file system is checked, before all other writes and until behind them") {
  TestImage image;
  const uint32_t sequence = GENERATE(uint32_t{EXT4_MMP_SEQ_CLEAN}, 1000u);
  const CommitRequest request = protected_request(image, sequence);
  Log log;
  const CommitReport report = commit_with_faults(request, log);
  INFO(text_of(report));
  REQUIRE(report.outcome == CommitOutcome::committed);
  std::vector<Event> writes;
  std::ranges::copy_if(log.events(), std::back_inserter(writes), [](const Event& e) { return e.operation == Operation::write; });
  for (const Event* e : {&writes.front(), &writes.back()}) {
    REQUIRE(e->at == kMmpBlock * 4096);
    CHECK(is_sealed(mmp_in(e->data)));
  }
  const mmp_struct first = mmp_in(writes.front().data);
  CHECK(first.mmp_seq == EXT4_MMP_SEQ_FSCK);
  CHECK(first.mmp_nodename[0] != 0);
  CHECK(std::string(reinterpret_cast<const char*>(first.mmp_bdevname), 9) == "extscrub ");
  CHECK(mmp_now(image).mmp_seq == EXT4_MMP_SEQ_CLEAN);
  if (sequence == EXT4_MMP_SEQ_CLEAN) CHECK(image.now() == image.repaired());
}

TEST_CASE("undo gives the MMP block back as it was before the commit") {
  TestImage image;
  const uint32_t sequence = GENERATE(uint32_t{EXT4_MMP_SEQ_CLEAN}, 1000u);
  CommitRequest request = protected_request(image, sequence);
  TempDir dir;
  request.undo = UndoPlace{dir.path() / "undo"};
  const auto lock = ImageLock::acquire(image.path());
  REQUIRE(lock);
  REQUIRE(commit(request, *lock).outcome == CommitOutcome::committed);
  UndoRequest undoing;
  undoing.log = request.undo->path;
  undoing.image = image.path();
  undoing.mmp = MmpClaim{BlockNo(kMmpBlock), mmp_block(EXT4_MMP_SEQ_CLEAN), kSeed};
  const CommitReport report = undo(undoing, *lock);
  INFO(text_of(report));
  CHECK(report.outcome == CommitOutcome::committed);
  CHECK(image.now() == image.original());
}

TEST_CASE("commit that fails or is stopped leaves the MMP block at rest") {
  TestImage image;
  CommitRequest request = protected_request(image, EXT4_MMP_SEQ_CLEAN);
  Log log;
  StopAfter stop([&] { return log.count(Operation::write) > 1; });
  const bool stopped = GENERATE(false, true);
  if (stopped)
    request.progress = &stop;
  else
    log.rule = fail_writes_to(image.extent_of(20));
  CHECK(commit_with_faults(request, log).outcome == (stopped ? CommitOutcome::cancelled : CommitOutcome::errored));
  CHECK(mmp_now(image).mmp_seq == EXT4_MMP_SEQ_CLEAN);
}

TEST_CASE("commit is refused where another host has written into the MMP block") {
  TestImage image;
  const CommitRequest request = protected_request(image, EXT4_MMP_SEQ_CLEAN);
  image.put_block(kMmpBlock, mmp_block(1001));
  Log log;
  CHECK(commit_with_faults(request, log).outcome == CommitOutcome::refused);
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("another host that writes into the MMP block during a commit is left there, and the image is not called clean") {
  TestImage image;
  const CommitRequest request = protected_request(image, EXT4_MMP_SEQ_CLEAN);
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation == Operation::write && e.touches(image.extent_of(20))) {
      std::fstream file(image.path(), std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(kMmpBlock * 4096);
      const auto theirs = mmp_block(1001);
      file.write(reinterpret_cast<const char*>(theirs.data()), static_cast<std::streamsize>(theirs.size()));
    }
    return std::nullopt;
  };
  const CommitReport report = commit_with_faults(request, log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(text_of(report).find("multiple-mount protection") != std::string::npos);
  CHECK(mmp_now(image).mmp_seq == 1001);
  CHECK((image.superblock_now().s_state & EXT2_VALID_FS) == 0);
}

}  // namespace extscrub::test::wb
