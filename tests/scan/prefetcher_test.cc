// What is fetched before its turn is what a read would give, whatever is in the way of it.
#include "scan/filesystem/prefetcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/forbid_io_uring.h"

namespace extscrub::test {

namespace {

constexpr uint32_t kBlock = 1024;

// A file of blocks that begin with their number, seen as a file system of `blocks` blocks; the file may be shorter.
struct Blocks {
  explicit Blocks(uint64_t blocks, uint64_t bytes) {
    std::string name = std::filesystem::temp_directory_path() / "extscrub-prefetcher-XXXXXX";
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    path = name;
    std::vector<char> data(bytes);
    for (uint64_t at = 0; at + sizeof(uint64_t) <= bytes; at += kBlock) {
      const uint64_t number = at / kBlock;
      std::memcpy(data.data() + at, &number, sizeof number);
    }
    std::ofstream(path, std::ios::binary).write(data.data(), static_cast<std::streamsize>(data.size()));
    image.emplace(*Image::open(path));
    overlay.emplace(*image, kBlock);
    fs.image = &*image;
    fs.blocks = &*overlay;
    fs.geometry.block_size = kBlock;
    fs.geometry.blocks = blocks;
  }
  ~Blocks() { std::filesystem::remove(path); }

  std::filesystem::path path;
  std::optional<Image> image;
  std::optional<Overlay> overlay;
  FileSystem fs;
};

bool holds(const Prefetcher& prefetcher, uint64_t block) {
  const std::byte* bytes = prefetcher.find(BlockNo(block));
  return bytes && load<uint64_t>(Bytes(bytes, kBlock)) == block;
}

std::vector<BlockNo> list(std::initializer_list<uint64_t> numbers) {
  std::vector<BlockNo> blocks;
  for (const uint64_t n : numbers) blocks.emplace_back(n);
  return blocks;
}

// io_uring may be forbidden where the tests run; what is fetched without it is nothing.
bool has_ring(Prefetcher& prefetcher) {
  auto blocks = list({1, 2});
  prefetcher.fetch(blocks);
  if (!prefetcher.has_ring()) WARN("no io_uring here: skipped");
  return prefetcher.has_ring();
}

}  // namespace

TEST_CASE("blocks in any order, twice and side by side are fetched; others are not there", "[prefetcher]") {
  Blocks b(1000, 1000 * kBlock);
  Prefetcher prefetcher(b.fs);
  if (!has_ring(prefetcher)) return;
  auto blocks = list({700, 3, 4, 5, 900, 3, 899});
  prefetcher.fetch(blocks);
  for (const uint64_t n : {3, 4, 5, 700, 899, 900}) CHECK(holds(prefetcher, n));
  for (const uint64_t n : {2, 6, 701, 901}) CHECK(prefetcher.find(BlockNo(n)) == nullptr);
  auto other = list({10, 12});
  prefetcher.fetch(other);
  CHECK(holds(prefetcher, 12));
  CHECK(prefetcher.find(BlockNo(700)) == nullptr);
}

TEST_CASE("more blocks than it takes, drawn at random", "[prefetcher]") {
  Blocks b(3000, 3000 * kBlock);
  Prefetcher prefetcher(b.fs);
  if (!has_ring(prefetcher)) return;
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<BlockNo> blocks;
    for (size_t i = 0; i < 1 + random() % (2 * prefetcher.capacity()); ++i) blocks.emplace_back(random() % 3000);
    const auto asked = blocks;
    prefetcher.fetch(blocks);
    CHECK(blocks.size() <= prefetcher.capacity());
    for (const BlockNo block : blocks) CHECK((blocks.size() < 2 || holds(prefetcher, block.value)));
    for (const BlockNo block : asked) CHECK((prefetcher.find(block) == nullptr || holds(prefetcher, block.value)));
  }
}

TEST_CASE("blocks that cannot be read or lie outside are left out, and no others", "[prefetcher]") {
  // The file ends inside block 10.
  Blocks b(1000, 10 * kBlock + 100);
  Prefetcher prefetcher(b.fs);
  if (!has_ring(prefetcher)) return;
  auto blocks = list({2, 8, 9, 10, 11, 500, 999, 1000, uint64_t{1} << 60});
  prefetcher.fetch(blocks);
  for (const uint64_t n : {2, 8, 9}) CHECK(holds(prefetcher, n));
  for (const uint64_t n : {uint64_t{10}, uint64_t{11}, uint64_t{500}, uint64_t{1000}, uint64_t{1} << 60})
    CHECK(prefetcher.find(BlockNo(n)) == nullptr);
}

TEST_CASE("blocks that are staged are left to the overlay", "[prefetcher]") {
  Blocks b(100, 100 * kBlock);
  REQUIRE(b.overlay->edit(BlockNo(7)));
  Prefetcher prefetcher(b.fs);
  if (!has_ring(prefetcher)) return;
  auto blocks = list({6, 7, 8});
  prefetcher.fetch(blocks);
  CHECK(holds(prefetcher, 6));
  CHECK(prefetcher.find(BlockNo(7)) == nullptr);
  CHECK(holds(prefetcher, 8));
}

TEST_CASE("signals that come while it waits change nothing", "[prefetcher]") {
  Blocks b(3000, 3000 * kBlock);
  Prefetcher prefetcher(b.fs);
  if (!has_ring(prefetcher)) return;
  struct sigaction action{}, before{};
  action.sa_handler = [](int) {};  // without SA_RESTART
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  const itimerval often{{0, 200}, {0, 200}}, never{};
  REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  int wrong = 0;
  for (uint64_t round = 0; round < 50; ++round) {
    // What is in the page cache comes at once, and nothing waits.
    REQUIRE(::fsync(b.image->descriptor()) == 0);
    (void)::posix_fadvise(b.image->descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    std::vector<BlockNo> blocks;
    for (uint64_t i = 0; i < 60; ++i) blocks.emplace_back((round * 7 + i * 13) % 3000);
    prefetcher.fetch(blocks);
    for (const BlockNo block : blocks) wrong += !holds(prefetcher, block.value);
  }
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  CHECK(wrong == 0);
}

TEST_CASE("where io_uring is forbidden nothing is fetched, and nothing fails", "[prefetcher]") {
  Blocks b(100, 100 * kBlock);
  const auto status = run_without_io_uring([&] {
    Prefetcher prefetcher(b.fs);
    auto blocks = list({6, 7, 8});
    prefetcher.fetch(blocks);
    return prefetcher.has_ring() || prefetcher.find(BlockNo(7)) ? 1 : 0;
  });
  if (status) CHECK(*status == 0);
}

}  // namespace extscrub::test
