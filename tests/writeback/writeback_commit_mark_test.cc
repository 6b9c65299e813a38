// What a commit that fails leaves behind: the mark in the superblock and in the journal, the sidecar beside the image.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/writeback/writeback_support.h"
#include "writeback/commit/commit.h"

namespace extscrub::test::wb {

TEST_CASE("mark's own write fails once: the second try marks") {
  TestImage image;
  image.stage(9);
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || e.index < 1 || e.index > 2) return std::nullopt;
    return Fault{-EIO, 0};
  };
  const auto report = commit_with_faults(image.request(), log);
  CHECK(report.marked);
  CHECK(report.sidecar.empty());
  CHECK(image.superblock_now().s_state == (2 | 4));
}

TEST_CASE("mark's own write, flush or read-back fails twice: a sidecar says it", "[behaviour-21]") {
  TestImage image;
  image.stage(9);
  Log log;
  const int what = GENERATE(0, 1, 2);
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    const bool marking = log.count(Operation::write) > 1;
    if (e.operation == Operation::write && e.index == 1) return Fault{};
    if (marking && static_cast<int>(e.operation) == what) return Fault{};
    return std::nullopt;
  };
  const auto report = commit_with_faults(image.request(), log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK_FALSE(report.marked);
  CHECK(report.sidecar == sidecar_path(image.path()));
  const auto text = read_file(report.sidecar);
  CHECK_THAT(std::string(reinterpret_cast<const char*>(text.data()), text.size()), Catch::Contains("block 9"));
  CHECK_THAT(text_of(report), Catch::Contains(report.sidecar.string()));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(image.path().parent_path())) ++files;
  CHECK(files == 2);  // the image, the sidecar: no temporary file is left
}

TEST_CASE("neither mark nor sidecar can be had: the message says so") {
  TestImage image;
  image.stage(9);
  auto request = image.request();
  const auto device = open_write_device(request.path);
  const auto queue = make_queue(QueueKind::threads, **device);
  request.path = "/nonexistent/image";
  Log log;
  log.rule = [](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || e.index == 0) return std::nullopt;
    return Fault{};
  };
  FaultyDevice faulty(**device, log);
  FaultyQueue faulty_queue(**queue, **device, log);
  const auto report = commit_on(request, faulty, faulty_queue);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK_FALSE(report.marked);
  CHECK(report.sidecar.empty());
  CHECK_THAT(text_of(report), Catch::Contains("nor a file put beside it"));
}

TEST_CASE("sidecar lies beside the file a symbolic link leads to") {
  TestImage image;
  const auto link = image.path().parent_path() / "link";
  std::filesystem::create_symlink(image.path(), link);
  CHECK(sidecar_path(link) == std::filesystem::canonical(image.path()).string() + ".extscrub-errored");
  CHECK(sidecar_path("dir/image") == "dir/image.extscrub-errored");
}

TEST_CASE("error stored in the image from before does not trip the commit, and goes with the final superblock",
          "[behaviour-23][behaviour-26]") {
  TestImage image;
  auto bytes = image.superblock_before();
  apply_error_mark(bytes, {{EIO, 7, "old", 0}, {EIO, 7, "old", 0}, 3, 1600000000});
  image.put_superblock(bytes);
  image.stage({3, 9});
  Log log;
  SECTION("nothing fails") {
    REQUIRE(commit_with_faults(image.request(), log).outcome == CommitOutcome::committed);
    CHECK(image.now() == image.repaired());
    // Until the blocks are proven, the mark stays: the armed superblock has it.
    CHECK((load<ext2_super_block>(log.events()[2].operation == Operation::write ? log.events()[2].data : image.original(),
                                  log.events()[2].operation == Operation::write ? 0 : kSuperblockOffset)
               .s_state &
           2) != 0);
  }
  SECTION("a new failure: first stays, last is new, the count grows") {
    log.rule = fail_writes_to(image.extent_of(9), ENOSPC);
    REQUIRE(commit_with_faults(image.request(), log).marked);
    const auto sb = image.superblock_now();
    CHECK(sb.s_error_count == 4);
    CHECK(sb.s_first_error_block == 7);
    CHECK(sb.s_first_error_time == 1600000000);
    CHECK(sb.s_last_error_block == 9);
    CHECK(sb.s_last_error_errcode == 6);
  }
}

TEST_CASE("damaged primary superblock is not sealed over: the final one, without its valid bit, takes its place") {
  TestImage image;
  auto bytes = image.superblock_before();
  bytes[0x200] ^= std::byte{1};  // under the checksum
  image.put_superblock(bytes);
  image.stage({3, 9});
  Log log;
  log.rule = fail_writes_to(image.extent_of(9));
  REQUIRE(commit_with_faults(image.request(), log).marked);
  CHECK(image.superblock_now().s_free_blocks_count == 4711);
  CHECK(image.superblock_now().s_state == (2 | 4));
}

TEST_CASE("RECOVER: the journal gets an error before the first block, and its staged superblock after the last",
          "[behaviour-12]") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  auto bytes = image.superblock_before();
  auto sb = load<ext2_super_block>(bytes);
  sb.s_feature_incompat |= 0x4;
  store(bytes, 0, sb);
  seal_superblock(bytes);
  image.put_superblock(bytes);
  std::vector<std::byte> journal(image.options().block_size);
  store(journal, 0, htobe32(0xC03B3998));
  store(journal, 4, htobe32(4));
  store(journal, 0x1C, htobe32(1));  // s_start: there is something to replay
  image.put_block(32, journal);
  auto after = journal;
  store(after, 0x1C, 0);
  image.stage({3, 9});
  image.stage(32, after);
  image.stage(40);
  auto request = image.request();
  request.journal_superblock = BlockNo(32);
  Log log;
  const auto journal_error = [&] { return be32toh(load<uint32_t>(image.now(), image.extent_of(32).at + 0x20)); };
  const auto journal_start = [&] { return be32toh(load<uint32_t>(image.now(), image.extent_of(32).at + 0x1C)); };

  SECTION("nothing fails: what is staged is there, without an error") {
    REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::committed);
    CHECK(image.now() == image.repaired());
    size_t first_block = SIZE_MAX, armed_journal = SIZE_MAX, last_block = 0, empty_journal = 0;
    for (size_t i = 0; i < log.events().size(); ++i) {
      const Event& e = log.events()[i];
      if (e.operation != Operation::write) continue;
      CHECK_FALSE((e.queued && e.touches(image.extent_of(32))));
      if (e.queued) first_block = std::min(first_block, i), last_block = i;
      if (!e.queued && e.touches(image.extent_of(32))) armed_journal = std::min(armed_journal, i), empty_journal = i;
    }
    CHECK(armed_journal < first_block);
    CHECK(empty_journal > last_block);
  }
  SECTION("a block fails: the journal keeps its transactions and has the error") {
    log.rule = fail_writes_to(image.extent_of(9));
    REQUIRE(commit_with_faults(request, log).marked);
    CHECK(journal_error() == 0xFFFFFFFB);
    CHECK(journal_start() == 1);
  }
  SECTION("cancelled: the same") {
    StopAfter progress([&] { return log.count(Operation::write) >= 3; });
    request.progress = &progress;
    REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::cancelled);
    CHECK(journal_error() == 0xFFFFFFFB);
    CHECK(journal_start() == 1);
  }
  SECTION("no journal is staged: it is as before in the end") {
    std::erase_if(request.blocks, [](const StagedBlock& s) { return s.block == BlockNo(32); });
    REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::committed);
    CHECK(journal_error() == 0);
    CHECK(journal_start() == 1);
  }
}

TEST_CASE("no RECOVER: a journal that is not staged is not touched") {
  TestImage image;
  image.stage({3, 9});
  auto request = image.request();
  request.journal_superblock = BlockNo(32);
  Log log;
  REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::committed);
  for (const Event& e : log.events())
    CHECK((e.operation == Operation::flush || !e.touches(image.extent_of(32)) || e.operation == Operation::read));
  CHECK(image.now() == image.repaired());
}

TEST_CASE("dumpe2fs and e2fsck accept the marked superblock, and a full check is due", "[behaviour-11]") {
  TempDir dir;
  const auto path = dir.path() / "image";
  const std::string csum = GENERATE("metadata_csum", "^metadata_csum");
  if (run_tool("mke2fs -q -F -t ext4 -O " + csum + " " + path.string() + " 8M") != 0) {
    WARN("no mke2fs: skipped");
    return;
  }
  const auto bytes = read_file(path);
  std::vector<std::byte> before(1024), after(1024, std::byte{0x55});
  CommitRequest request;
  request.path = path;
  request.block_size = 1024;
  std::memcpy(before.data(), bytes.data() + 7000 * 1024, 1024);
  request.blocks = {{BlockNo(7000), before, after}};  // a free block
  request.final_superblock = load<Superblock>(bytes, kSuperblockOffset);
  Log log;
  SECTION("marked") {
    log.rule = fail_writes_to({7000 * 1024, 1024});
    REQUIRE(commit_with_faults(request, log).marked);
    const auto dump = dir.path() / "dump";
    if (run_tool("dumpe2fs -h " + path.string()) == 0) {
      REQUIRE(std::system(
                  ("PATH=\"$PATH:/usr/sbin:/sbin\"; dumpe2fs -h " + path.string() + " > " + dump.string() + " 2>&1").c_str()) ==
              0);
      const auto text = read_file(dump);
      const std::string out(reinterpret_cast<const char*>(text.data()), text.size());
      CHECK_THAT(out, Catch::Contains("not clean with errors"));
      CHECK_THAT(out, Catch::Contains("First error function:     extscrub_write"));
      CHECK_THAT(out, Catch::Contains("First error block #:      7000"));
      CHECK_THAT(out, Catch::Contains("First error err:          EIO"));
      CHECK_THAT(out, !Catch::Contains("does not match"));
    }
    if (const auto status = run_tool("e2fsck -p " + path.string())) CHECK(*status == 1);  // checked whole, corrected
    if (const auto status = run_tool("e2fsck -fn " + path.string())) CHECK(*status == 0);
  }
  SECTION("committed") {
    REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::committed);
    if (const auto status = run_tool("e2fsck -n " + path.string())) CHECK(*status == 0);
    if (const auto status = run_tool("e2fsck -fn " + path.string())) CHECK(*status == 0);
  }
}

TEST_CASE("sidecar of a block device lies in the current directory, and is only of the file system whose UUID it has") {
  const TempDir directory;
  const auto device = directory.path() / "disk";
  if (::mknod(device.c_str(), S_IFBLK | 0600, makedev(7, 250)) != 0) {
    WARN("no device node can be made here: skipped");
    return;
  }
  const auto before = std::filesystem::current_path();
  const AtEnd back([&] { std::filesystem::current_path(before); });
  std::filesystem::current_path(directory.path());
  const FileSystemId id{std::byte{1}, std::byte{2}}, other{std::byte{3}};
  CHECK(sidecar_path("/dev/../" + device.string()) == "disk.extscrub-errored");
  CHECK_FALSE(find_sidecar(device, id));
  const auto written = write_sidecar(device, id, "a write failed\n");
  REQUIRE(written);
  CHECK(*written == "disk.extscrub-errored");
  CHECK(find_sidecar(device, id) == *written);
  CHECK_FALSE(find_sidecar(device, other));
  CHECK(remove_sidecar(*written) == 0);
  CHECK_FALSE(find_sidecar(device, id));
}

}  // namespace extscrub::test::wb
