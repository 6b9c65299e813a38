// A repair in place that is cut off between any two of its writes, and begun again without its undo log: every file has
// the contents that it has when the repair is not cut off.
#include "tests/support/contents.h"
#include "tests/support/journal_log.h"
#include "tests/support/scrub_sample.h"

namespace extscrub::test::wb {

namespace {

AuditOptions one_job() {
  AuditOptions options;
  options.jobs = 1;
  options.now = 1'700'000'000;
  return options;
}

struct CutOff {
  size_t states = 0;
  std::string lost;  // what was lost, where, a line each
};

// Two files with a block in common, two with a block map in common, and one with a block that is also the block bitmap.
test::TestImage with_shared_blocks() {
  const TempDir tree;
  for (const auto& [name, blocks] : {std::pair("a", 6), {"b", 6}, {"big", 40}, {"large", 40}, {"m", 3}}) {
    std::vector<std::byte> bytes(size_t(blocks) * 1024);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 7 + static_cast<size_t>(name[0]));
    write_file(tree.path() / name, bytes);
  }
  test::TestImage image({"-t", "ext2", "-b", "1024", "-N", "64"}, "2M", tree.path());
  image.debugfs(fmt::format("sif /b block[2] {}", image.block_of("/a")));
  image.debugfs(fmt::format("sif /large block[IND] {}", image.block_of("/big") + 12));
  image.debugfs(fmt::format("sif /m block[1] {}", image.block_bitmap(0)));
  return image;
}

// Cuts the repair of the image at `path` off behind every write and in the middle of what was not flushed yet.
CutOff cut_off(const std::filesystem::path& path, bool in_waves, uint32_t most = UINT32_MAX) {
  const std::vector<std::byte> original = read_file(path);
  std::vector<Event> events;
  Contents wanted;
  {
    const auto image = Image::open(path);
    REQUIRE(image);
    const auto plan = plan_repairs(*image, RepairPolicy::all, one_job());
    REQUIRE(plan);
    wanted = contents_of(*image, &*plan->overlay);
    CommitRequest request;
    request.path = path;
    request.block_size = plan->overlay->block_size();
    request.blocks = plan->overlay->staged();
    if (in_waves) request.waves = plan->waves;
    request.final_superblock = plan->final_superblock;
    request.journal_superblock = plan->journal_superblock;
    request.way = CommitWay::direct;
    request.queue = QueueKind::threads;
    Log log;
    const CommitReport report = commit_with_faults(request, log, 512);
    INFO(text_of(report));
    REQUIRE(is_over(report));
    for (const Event& e : log.events())
      if (e.operation != Operation::read) events.push_back(e);
  }
  CutOff result;
  std::mt19937 random(1);
  const size_t step = events.size() / most + 1;
  for (size_t end = 0; end <= events.size(); end += step) {
    for (int round = 0; round < 2; ++round, ++result.states) {
      write_file(path, after_power_cut(original, events, end, round == 0, random));
      const auto image = Image::open(path);
      REQUIRE(image);
      const auto again = plan_repairs(*image, RepairPolicy::all, one_job());
      if (!again || !again->proven_clean) continue;  // it is not called repaired
      const Contents now = contents_of(*image, &*again->overlay);
      for (const auto& [inode, sum] : wanted)
        if (!now.contains(inode) || now.at(inode) != sum)
          result.lost += fmt::format("after operation {} of {}, round {}: inode {}{}\n", end, events.size(), round, inode,
                                     now.contains(inode) ? "" : " is gone");
    }
  }
  write_file(path, original);
  return result;
}

}  // namespace

TEST_CASE("waves: no file loses its contents where a repair in place is cut off, and all going out at once some would") {
  const test::TestImage image = with_shared_blocks();
  const CutOff result = cut_off(image.path(), true);
  CHECK(result.states > 20);
  CHECK(result.lost.empty());
  CHECK_FALSE(cut_off(image.path(), false).lost.empty());
}

TEST_CASE("waves: names that move between the blocks of a directory are in one of them at any time") {
  const test::TestImage image("ext4-plain");
  (void)test::run({"e2fsck", "-fyD", image.path().string()});  // it makes the index
  REQUIRE(image.debugfs("htree /many").find("Root node") != std::string::npos);
  image.patch<uint8_t>(image.offset(image.block_of("/many")) + 0x1E, [](uint8_t& levels) { levels = 7; });
  const CutOff result = cut_off(image.path(), true);
  CHECK(result.states > 5);
  CHECK(result.lost.empty());
}

TEST_CASE("waves: a journal that nobody replays, as its superblock's checksum is wrong, does not come to life by being armed") {
  const test::TestImage image("ext4-plain");
  {
    test::JournalLog log(image, {.incompat = jbd2::kIncompatRevoke | jbd2::kIncompatCsumV3 | jbd2::kIncompat64Bit});
    log.descriptor({{image.block_of("/big", 1), std::vector<std::byte>(image.block_size(), std::byte{0x55})}});
    log.commit();
  }
  const uint64_t at = image.offset(image.block_of("<8>")) + 0xFC;
  image.poke(at, image.peek<uint32_t>(at) ^ 1);
  const CutOff result = cut_off(image.path(), true);
  CHECK(result.states > 5);
  CHECK(result.lost.empty());
}

TEST_CASE("waves: an image that is named in the environment, cut off", "[.][cut-off]") {
  const char* path = std::getenv("EXTSCRUB_CUT_OFF");
  if (path == nullptr) return;  // it is for a run by hand
  const CutOff result = cut_off(path, true, 60);
  std::printf("%s: %zu states\n%s", path, result.states, result.lost.c_str());
  CHECK(result.lost.empty());
}

}  // namespace extscrub::test::wb
