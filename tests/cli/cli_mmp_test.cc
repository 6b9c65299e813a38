// A scrub heeds multiple-mount protection: a stand-in for the clock plays the other host.
#include <cstring>

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"
#include "tests/support/test_image.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

constexpr uint32_t kNumber = 0x100;

// A damaged file system with multiple-mount protection that another host has left its number in.
struct Shared {
  TestImage image{{"-O", "mmp,^metadata_csum", "-b", "1024"}, "4M"};
  Tool tool;
  std::chrono::milliseconds waited{};
  bool counts_on = false;

  explicit Shared(uint32_t sequence) {
    image.patch<ext2_super_block>(kSuperblockOffset, [](ext2_super_block& super) { ++super.s_free_blocks_count; });
    put(sequence);
    tool.environment.engine.sleep = [this, sequence](std::chrono::milliseconds time) {
      waited += time;
      if (counts_on) put(sequence + 1);
    };
  }
  [[nodiscard]] uint64_t place() const { return image.offset(image.superblock().s_mmp_block); }
  [[nodiscard]] mmp_struct mmp() const { return image.peek<mmp_struct>(place()); }
  void put(uint32_t sequence) const {
    image.patch<mmp_struct>(place(), [&](mmp_struct& mmp) {
      mmp.mmp_seq = sequence;
      std::memcpy(mmp.mmp_nodename, "other", 6);
      std::memcpy(mmp.mmp_bdevname, "sdz", 4);
    });
  }
  int operator()(std::vector<std::string> options = {}) {
    options.insert(options.begin(), "scrub");
    options.insert(options.end(), {"--no-undo", image.path()});
    return tool(options);
  }
};

}  // namespace

TEST_CASE("a file system that another host counts on in is refused, and not written to") {
  Shared s(kNumber);
  s.counts_on = true;
  CHECK(s() == 8);
  CHECK(s.tool.said("waiting 11 seconds"));
  CHECK(s.tool.said("mounted by other (sdz)"));
  CHECK(s.mmp().mmp_seq == kNumber + 1);
}

TEST_CASE("a number that nobody counts on is waited for once, and is at rest behind the repair") {
  Shared s(kNumber);
  CHECK(s() == 1);
  CHECK(s.waited == std::chrono::seconds(11));
  CHECK(s.mmp().mmp_seq == EXT4_MMP_SEQ_CLEAN);
  CHECK(s.image.e2fsck() == 0);
}

TEST_CASE("a file system that is being checked is refused at once; --force goes on and says so") {
  Shared s(EXT4_MMP_SEQ_FSCK);
  CHECK(s() == 8);
  CHECK(s.waited.count() == 0);
  CHECK(s.tool.said("being checked by other (sdz)"));
  CHECK(s.tool.said("clear_mmp"));
  CHECK(s({"--force"}) == 1);
  CHECK(s.tool.said("going on although multiple-mount protection says that it is being checked by other (sdz)"));
  CHECK(s.mmp().mmp_seq == EXT4_MMP_SEQ_CLEAN);
}

TEST_CASE("a file system at rest is not waited for") {
  Shared s(EXT4_MMP_SEQ_CLEAN);
  CHECK(s() == 1);
  CHECK(s.waited.count() == 0);
  CHECK(s.mmp().mmp_seq == EXT4_MMP_SEQ_CLEAN);
}

TEST_CASE("a damaged MMP block is mended without waiting") {
  Shared s(kNumber);
  s.image.poke(s.place(), uint32_t{0});
  CHECK(s() == 1);
  CHECK(s.waited.count() == 0);
  CHECK(s.mmp().mmp_seq == EXT4_MMP_SEQ_CLEAN);
}

TEST_CASE("a stop ends the wait for another host") {
  Shared s(kNumber);
  s.tool.environment.engine.sleep = [&](std::chrono::milliseconds) { s.tool.stop = true; };
  CHECK((s() & 32) != 0);
  CHECK(s.mmp().mmp_seq == kNumber);
}

TEST_CASE("a scrub that finds nothing to mend leaves a file system with MMP as it is, byte for byte") {
  const TestImage image({"-O", "mmp", "-b", "1024"}, "4M");
  const uint64_t before = image.fingerprint();
  Tool tool;
  CHECK(tool({"scrub", image.path()}) == 0);
  CHECK(image.fingerprint() == before);
}
