// What was audited is what is written: the same file, of the same size, with the same superblock.
#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "tests/writeback/writeback_support.h"
#include "writeback/undo/undo.h"

namespace extscrub::test::wb {

namespace {

CommitRequest audited_request(const TestImage& image) {
  CommitRequest request = image.request();
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  request.file = opened->identity();
  request.file_size = opened->file_size();
  request.audited_superblock = image.superblock_before();
  return request;
}

// Another file takes the image's name, as itself or by a symbolic link. The new one holds the same bytes.
std::filesystem::path replace_image(const TestImage& image, bool by_link) {
  auto other = image.path();
  other += "-other";
  write_file(other, image.original());
  auto away = image.path();
  std::filesystem::rename(image.path(), away += "-away");
  if (by_link) {
    std::filesystem::create_symlink(other, image.path());
  } else {
    std::filesystem::rename(other, image.path());
    other = image.path();
  }
  return other;
}

// Cuts or extends the file when the n-th write has been asked for.
Rule resizing(const TestImage& image, size_t n, uint64_t size) {
  return [=, path = image.path()](const Event& e) -> std::optional<Fault> {
    if (e.operation == Operation::write && e.index == n) std::filesystem::resize_file(path, size);
    return std::nullopt;
  };
}

}  // namespace

TEST_CASE("file that took the image's name after the audit is not written to") {
  TestImage image;
  image.stage({2, 20});
  const CommitRequest request = audited_request(image);
  const auto lock = ImageLock::acquire(image.path());
  REQUIRE(lock);
  const auto other = replace_image(image, GENERATE(false, true));
  const CommitReport report = commit(request, *lock);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(report.error() == ESTALE);
  CHECK(text_of(report).find("was replaced by another file") != std::string::npos);
  CHECK(read_file(other) == image.original());
}

TEST_CASE("file that took the image's name after it was locked is not undone") {
  TestImage image;
  image.stage({2, 20});
  TempDir dir;
  CommitRequest request = audited_request(image);
  request.undo = UndoPlace{dir.path() / "undo"};
  std::optional<FileIdentity> locked;
  {
    const auto lock = ImageLock::acquire(image.path());
    REQUIRE(lock);
    REQUIRE(commit(request, *lock).outcome == CommitOutcome::committed);
    locked = lock->identity();
  }
  const auto now = image.now();
  const auto other = replace_image(image, true);
  write_file(other, now);
  const auto lock = ImageLock::acquire(other);
  REQUIRE(lock);
  UndoRequest undoing;
  undoing.log = request.undo->path;
  undoing.image = image.path();
  undoing.file = locked;
  CHECK(undo(undoing, *lock).outcome == CommitOutcome::refused);
  CHECK(read_file(other) == now);
  undoing.file = lock->identity();
  CHECK(undo(undoing, *lock).outcome == CommitOutcome::committed);
}

TEST_CASE("superblock that changed after the audit is noticed where no block of it is staged") {
  TestImage image;
  image.stage({2, 20});
  const CommitRequest request = audited_request(image);
  auto superblock = load<ext2_super_block>(image.superblock_before());
  superblock.s_mnt_count += 1;
  Superblock mounted = image.superblock_before();
  store(mounted, 0, superblock);
  seal_superblock(mounted);
  image.put_superblock(mounted);
  Log log;
  const CommitReport report = commit_with_faults(request, log);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("image whose size changed between audit and commit is left alone") {
  TestImage image;
  image.stage({2, 20});
  CommitRequest request = audited_request(image);
  const uint64_t size = image.original().size();
  std::filesystem::resize_file(image.path(), GENERATE_COPY(size / 2, size + 4096));
  Log log;
  const CommitReport report = commit_with_faults(request, log);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(text_of(report).find("its size changed from 262144 to ") != std::string::npos);
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("image whose size changes while the undo log is written is left alone, and the log goes") {
  TestImage image;
  image.stage({2, 20});
  TempDir dir;
  CommitRequest request = audited_request(image);
  request.undo = UndoPlace{dir.path() / "undo"};
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation == Operation::read && e.index == 1) std::filesystem::resize_file(image.path(), 1 << 20);
    return std::nullopt;
  };
  const CommitReport report = commit_with_faults(request, log);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(report.undo == UndoLogState::removed);
  CHECK_FALSE(std::filesystem::exists(dir.path() / "undo"));
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("image that is cut or extended while it is written ends errored and marked, never repaired") {
  TestImage image;
  image.stage({2, 3, 4, 20, 60});
  const CommitRequest request = audited_request(image);
  const uint64_t size = GENERATE(uint64_t{30 * 4096}, uint64_t{80 * 4096});
  size_t writes = 0, last_block = 0;
  {
    Log log;
    REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::committed);
    writes = log.count(Operation::write);
    for (const Event& e : log.events())
      if (e.operation == Operation::write && e.queued) last_block = e.index;
  }
  REQUIRE(writes > 4);
  for (size_t n = 0; n < writes; ++n) {
    write_file(image.path(), image.original());
    Log log;
    log.rule = resizing(image, n, size);
    const CommitReport report = commit_with_faults(request, log);
    INFO("write " << n << ": " << text_of(report));
    CHECK(report.outcome == CommitOutcome::errored);
    CHECK(report.error() == EIO);
    CHECK(report.marked);
    const auto superblock = superblock_in(image.now());
    CHECK((superblock.s_state & EXT2_VALID_FS) == 0);
    CHECK((superblock.s_state & EXT2_ERROR_FS) != 0);
    if (n <= last_block)  // not even for a moment
      for (const Event& e : log.events())
        if (e.operation == Operation::write && e.touches({kSuperblockOffset, kSuperblockSize}))
          CHECK_FALSE(says_clean(load<Superblock>(e.data)));
    if (n == 0) {
      CHECK(text_of(report).find("its size") != std::string::npos);
      CHECK(std::filesystem::file_size(image.path()) == size);  // nothing was written behind its end
    }
  }
}

TEST_CASE("image that is cut to nothing is not given a superblock of its own") {
  TestImage image;
  image.stage({2, 20});
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::flush || e.index != 0) return std::nullopt;
    std::filesystem::resize_file(image.path(), 0);
    return std::nullopt;
  };
  const CommitReport report = commit_with_faults(audited_request(image), log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK_FALSE(report.marked);
  CHECK_FALSE(report.sidecar.empty());
  CHECK(std::filesystem::file_size(image.path()) == 0);
}

TEST_CASE("part of an image is read through the same opening, whatever took its name") {
  TestImage image;
  const auto whole = Image::open(image.path());
  REQUIRE(whole);
  const auto other = replace_image(image, false);
  write_file(other, std::vector<std::byte>(4096));
  const auto part = whole->part(8192, 4096);
  REQUIRE(part);
  CHECK(part->identity() == whole->identity());
  CHECK(part->size() == 4096);
  std::vector<std::byte> bytes(4096);
  REQUIRE(part->read(0, bytes));
  CHECK(std::ranges::equal(bytes, Bytes(image.original()).subspan(8192, 4096)));
  CHECK_FALSE(whole->part(image.original().size(), {}));
}

TEST_CASE("image knows when its size is another than it was") {
  TestImage image;
  const auto opened = Image::open(image.path(), 4096, 4096);
  REQUIRE(opened);
  CHECK_FALSE(opened->resized());
  std::filesystem::resize_file(image.path(), 8192);
  CHECK(opened->resized() == "its size changed from 262144 to 8192 bytes");
}

}  // namespace extscrub::test::wb
