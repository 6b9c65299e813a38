// The overlay's memory: blocks past the limit lie in a temporary file, and are none the worse for it.
#include <cstring>

#include "scan/image/overlay.h"
#include "tests/support/catch.h"
#include "tests/support/test_image.h"

namespace extscrub::test {

TEST_CASE("staged blocks past the memory limit lie in a file, and stay where they are", "[overlay]") {
  BlockStore store(1024, 128 << 10);
  std::vector<std::byte*> blocks;
  constexpr int kBlocks = 10000;
  for (int i = 0; i < kBlocks; ++i) {
    const auto block = store.allocate();
    REQUIRE(block);
    std::memset(*block, i & 0xff, 1024);
    blocks.push_back(*block);
  }
  CHECK(store.spilled() >= uint64_t{kBlocks} * 1024 - (128 << 10));
  const BlockStore moved = std::move(store);
  int wrong = 0;
  for (int i = 0; i < kBlocks; ++i)
    for (int at = 0; at < 1024; ++at) wrong += std::to_integer<int>(blocks[i][at]) != (i & 0xff);
  CHECK(wrong == 0);
}

TEST_CASE("no place for a temporary file is an error that says what to do", "[overlay]") {
  setenv("TMPDIR", "/does/not/exist", 1);
  BlockStore store(4096, 0);
  const auto block = store.allocate();
  unsetenv("TMPDIR");
  REQUIRE_FALSE(block);
  CHECK(text_of(block.error()).find("--overlay-memory") != std::string::npos);
}

TEST_CASE("an overlay without memory of its own shows what was staged", "[overlay]") {
  const TestImage file("ext4-1k");
  const Result<Image> image = Image::open(file.path());
  REQUIRE(image);
  Overlay overlay(*image, 1024, 0);
  for (uint64_t b = 100; b < 5000; b += 7) {
    auto block = overlay.edit(BlockNo(b));
    REQUIRE(block);
    std::memset(block->data(), 0x5a, 1024);
  }
  std::vector<std::byte> read(1024 * 20);
  REQUIRE(overlay.read(BlockNo(99), read));
  for (uint64_t i = 0; i < 20; ++i) {
    const bool staged = (99 + i) % 7 == 100 % 7 && i > 0;
    const bool patterned =
        std::ranges::all_of(Bytes(read).subspan(i * 1024, 1024), [](std::byte x) { return x == std::byte{0x5a}; });
    CHECK(patterned == staged);
  }
  CHECK(overlay.staged().size() == 700);
}

}  // namespace extscrub::test
