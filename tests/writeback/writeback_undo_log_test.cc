// Undo logs as files: how they are made, when they are not, and what is refused that looks like one.
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "scan/format/crc.h"
#include "tests/cli/undo_support.h"

namespace extscrub::test::wb {

namespace {

bool alone(const TestImage& image) {
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(image.path().parent_path())) ++files;
  return files == 1;
}

void check_refused(const TestImage& image, const CommitReport& report, const Log& log) {
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(report.undo == UndoLogState::failed);
  CHECK(report.undo_file.empty());
  CHECK_THAT(text_of(report), Catch::Contains("--no-undo"));
  CHECK(log.count(Operation::write) == 0);
  CHECK(log.count(Operation::flush) == 0);
  CHECK(image.now() == image.original());
}

}  // namespace

TEST_CASE("undo log is whole before the first write, and holds every byte that is written over") {
  TestImage image({.block_size = GENERATE(1024u, 4096u), .tail = 700});
  image.stage({0, 1, 5, 9, 40, 64});
  const uint32_t alignment = GENERATE(512u, 4096u);
  bool seen = false;
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation == Operation::read || seen) return std::nullopt;
    seen = true;
    const auto undo_log = UndoLog::open(undo_path(image));
    REQUIRE(undo_log);
    CHECK(undo_log->finished());
    CHECK(image.now() == image.original());
    return std::nullopt;
  };
  REQUIRE(commit_with_faults(request_with_undo(image), log, alignment).outcome == CommitOutcome::committed);
  CHECK(seen);

  const auto undo_log = UndoLog::open(undo_path(image));
  REQUIRE(undo_log);
  CHECK(undo_log->expected_superblock() == load<Superblock>(image.now(), kSuperblockOffset));
  std::vector<bool> saved(image.original().size());
  for (const UndoKey& key : undo_log->keys()) {
    const uint64_t at = key.block * undo_log->block_size();
    std::vector<std::byte> bytes(key.size);
    REQUIRE(undo_log->read(key, bytes));
    CHECK(std::equal(bytes.begin(), bytes.end(), image.original().begin() + static_cast<std::ptrdiff_t>(at)));
    for (uint64_t i = 0; i < key.size; ++i) saved[at + i] = true;
  }
  for (const Event& e : log.events()) {
    if (e.operation != Operation::write) continue;
    size_t unsaved = 0;
    for (uint64_t i = 0; i < e.length; ++i) unsaved += !saved[e.at + i];
    CHECK(unsaved == 0);
  }
}

TEST_CASE("undo log with a flipped bit is refused, wherever it is") {
  TestImage image({.block_size = 1024}, fast_directory());
  image.stage({3, 9});
  commit_with_undo(image);
  const auto sound = read_file(undo_path(image));
  REQUIRE(UndoLog::open(undo_path(image)));
  const auto repaired = image.now();
  size_t unnoticed = 0;
  for (size_t at = 0; at < sound.size(); at += at < 512 ? 1 : 7) {
    if (at >= 512 && at < 1024) continue;  // between the header and the superblock
    auto flipped = sound;
    flipped[at] ^= static_cast<std::byte>(1 << (at % 8));
    write_file(undo_path(image), flipped);
    const auto report = undo_image(image, true);
    unnoticed += report.outcome != CommitOutcome::refused;
    REQUIRE_FALSE(text_of(report).empty());
  }
  CHECK(unnoticed == 0);
  CHECK(image.now() == repaired);
}

TEST_CASE("undo log that was cut is refused, wherever") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)}, fast_directory());
  image.stage({3, 9});
  commit_with_undo(image);
  const auto sound = read_file(undo_path(image));
  const auto repaired = image.now();
  size_t unnoticed = 0;
  for (size_t length = 0; length < sound.size(); length += 101) {
    write_file(undo_path(image), Bytes(sound).first(length));
    unnoticed += undo_image(image, true).outcome != CommitOutcome::refused;
  }
  write_file(undo_path(image), Bytes(sound).first(sound.size() - 1));
  unnoticed += undo_image(image, true).outcome != CommitOutcome::refused;
  CHECK(unnoticed == 0);
  CHECK(image.now() == repaired);
}

TEST_CASE("no room for the undo log: refused with its errno, nothing written, no file left") {
  TestImage image;
  image.stage({3, 9, 30, 50});
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{4096 * GENERATE(0u, 1u, 2u, 5u), before.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const AtEnd restore([&] {
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
  });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  Log log;
  const auto report = commit_with_faults(request_with_undo(image), log);
  CHECK(report.error() == EFBIG);
  check_refused(image, report, log);
  CHECK(alone(image));
}

TEST_CASE("no place for the undo log: refused, nothing written") {
  TestImage image;
  image.stage({3, 9});
  CommitRequest request = request_with_undo(image);
  SECTION("no such directory") { request.undo->path = image.path().parent_path() / "not" / "there"; }
  SECTION("the file is there already") { write_file(undo_path(image), {}); }
  SECTION("it is the image") { request.undo->path = image.path(); }
  Log log;
  check_refused(image, commit_with_faults(request, log), log);
}

TEST_CASE("undo log is for its owner's eyes, and gets a number when its default name is taken") {
  TestImage image;
  image.stage({3, 9});
  CommitRequest request = image.request();
  request.undo = UndoPlace{undo_path(image), true};
  write_file(undo_path(image), {});
  Log log;
  const auto report = commit_with_faults(request, log);
  REQUIRE(report.outcome == CommitOutcome::committed);
  CHECK(report.undo_file == undo_path(image).string() + "-2");
  CHECK(std::filesystem::file_size(undo_path(image)) == 0);
  CHECK(std::filesystem::file_size(report.undo_file) == report.undo_bytes);
  struct stat st;
  REQUIRE(::stat(report.undo_file.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
}

TEST_CASE("default place: beside the file a link leads to, with the time") {
  TempDir dir;
  const auto real = dir.path() / "real";
  std::filesystem::create_directory(real);
  write_file(real / "disk.img", {});
  std::filesystem::create_symlink(real / "disk.img", dir.path() / "link");
  const std::chrono::system_clock::time_point time{std::chrono::seconds(1795507920)};
  CHECK(default_undo_place("disk.img", time).path == "disk.img.extscrub-undo-20261124T081200Z");
  CHECK(default_undo_place(dir.path() / "link", time).path ==
        std::filesystem::canonical(real) / "disk.img.extscrub-undo-20261124T081200Z");
  CHECK(default_undo_place("disk.img", time).number_when_taken);
}

TEST_CASE("commit that ends before its first write leaves no undo log") {
  TestImage image;
  image.stage({3, 9});
  CommitRequest request = request_with_undo(image);
  Log log;
  SECTION("changed since it was read") {
    auto changed = image.original();
    changed[image.extent_of(9).at] ^= std::byte{1};
    write_file(image.path(), changed);
    CHECK(commit_with_faults(request, log).outcome == CommitOutcome::refused);
  }
  SECTION("changed while the log is made") {
    const auto reads = [&](const Event& e) { return e.operation == Operation::read && e.touches(image.extent_of(9)); };
    size_t seen = 0;
    log.rule = [&](const Event& e) -> std::optional<Fault> {
      if (reads(e) && ++seen == 1) {
        auto changed = image.original();
        changed[image.extent_of(9).at] ^= std::byte{1};
        write_file(image.path(), changed);
      }
      return std::nullopt;
    };
    const auto report = commit_with_faults(request, log);
    CHECK(report.outcome == CommitOutcome::refused);
    CHECK(report.undo == UndoLogState::removed);
  }
  SECTION("stopped while the log is made") {
    int asked = 0;
    const int after = GENERATE(1, 2, 3);
    StopAfter progress([&] { return ++asked > after; });
    request.progress = &progress;
    const auto report = commit_with_faults(request, log);
    CHECK(report.outcome == CommitOutcome::cancelled);
    CHECK(report.undo == UndoLogState::removed);
    CHECK_FALSE(report.armed);
  }
  SECTION("cannot be read while the log is made") {
    log.rule = [&](const Event& e) -> std::optional<Fault> {
      if (e.operation == Operation::read && e.touches(image.extent_of(9))) return Fault{};
      return std::nullopt;
    };
    CHECK(commit_with_faults(request, log).error() == EIO);
  }
  SECTION("nothing to do") {
    request.blocks.clear();
    request.final_superblock = image.superblock_before();
    CHECK(commit_with_faults(request, log).outcome == CommitOutcome::nothing_to_do);
  }
  CHECK(log.count(Operation::write) == 0);
  CHECK(alone(image));
}

TEST_CASE("undo log that was not finished: refused, unless forced") {
  TestImage image;
  image.stage({3, 9});
  commit_with_undo(image);
  auto bytes = read_file(undo_path(image));
  store(bytes, 44, 0u);  // state
  store(bytes, 508, crc32c(~0u, Bytes(bytes).first(508)));
  write_file(undo_path(image), bytes);
  CHECK(undo_image(image).outcome == CommitOutcome::refused);
  CHECK(image.now() == image.repaired());
  CHECK(undo_image(image, true).outcome == CommitOutcome::committed);
  CHECK((image.superblock_now().s_state & 1) == 0);
}

}  // namespace extscrub::test::wb
