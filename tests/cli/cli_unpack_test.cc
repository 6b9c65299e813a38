#include "cli/disk/unpack.h"

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"
#include "tests/support/test_image.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

constexpr size_t kFrameBlock = 128 << 10;  // the largest that a zstd frame has
constexpr size_t kUnpackedMiB = 1 << 20;

// A zstd frame: `head` as it is, then `size` bytes of `filler` in 4 bytes for each 128 KiB.
std::string bomb(std::string_view head, size_t size, char filler = '\0') {
  std::string frame("\x28\xb5\x2f\xfd\x00\x38", 6);  // no content size; a window of 128 KiB
  const auto block = [&](size_t bytes, unsigned kind, bool last) {
    const auto value = static_cast<uint32_t>(bytes << 3 | kind << 1 | (last ? 1 : 0));
    for (int shift : {0, 8, 16}) frame += static_cast<char>(value >> shift);
  };
  for (; !head.empty(); head.remove_prefix(std::min(head.size(), kFrameBlock))) {
    const auto piece = head.substr(0, kFrameBlock);
    block(piece.size(), 0, false);
    frame += piece;
  }
  for (size_t done = 0; done < size; done += kFrameBlock) {
    block(kFrameBlock, 1, false);
    frame += filler;
  }
  block(0, 0, true);
  return frame;
}

std::string unpack_outcome(const std::string& packed, const UnpackLimits& limits = {}) {
  const TempDir dir;
  const auto copy = unpack(write_file(dir.path() / "packed", packed), limits, nullptr);
  return copy ? "" : text_of(copy.error());
}

bool without_libarchive() { return unpack_outcome(bomb("", kUnpackedMiB)).find("without libarchive") != std::string::npos; }

std::string ext_head() {
  const TempDir dir;
  const auto path = dir.path() / "fs.img";
  run_or_throw({"mke2fs", "-q", "-F", "-t", "ext4", path, "4M"});
  return read_file(path);
}

std::string ext_without_primary() {
  const TempDir dir;
  const auto path = dir.path() / "fs.img";
  run_or_throw({"mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", path, "10M"});
  std::string bytes = read_file(path);
  std::fill_n(bytes.begin() + 1024, 1024, '\0');
  return bytes;
}

}  // namespace

TEST_CASE("unpacking ends early where neither a file system nor a disk comes out", "[unpack]") {
  if (without_libarchive()) return;
  for (const char filler : {'\0', 'A'})
    CHECK_THAT(unpack_outcome(bomb("", 400 * kUnpackedMiB, filler)),
               Catch::Contains("no ext2/3/4 superblock") && Catch::Contains("136.0 MiB"));
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  CHECK_THAT(unpack_outcome(bomb(tar, 4 * kUnpackedMiB)), Catch::Contains("tar archive"));
  std::string swap(4096, '\0');
  swap.replace(4086, 10, "SWAPSPACE2");
  swap.replace(1024, 1, "\x01");
  swap.replace(1029, 1, "\x10");
  CHECK_THAT(unpack_outcome(bomb(swap, 4 * kUnpackedMiB)), Catch::Contains("swap"));
}

TEST_CASE("what is unpacked is no longer than its superblock allows for", "[unpack]") {
  if (without_libarchive()) return;
  const std::string head = ext_head();
  CHECK(unpack_outcome(bomb(head, 0)).empty());
  CHECK(unpack_outcome(bomb(head, 60 * kUnpackedMiB)).empty());
  CHECK_THAT(unpack_outcome(bomb(head, 80 * kUnpackedMiB)),
             Catch::Contains("more than 72.0 MiB") && Catch::Contains("--max-unpacked"));
  CHECK(unpack_outcome(bomb(head, 80 * kUnpackedMiB), {.most = 84 * kUnpackedMiB}).empty());
  CHECK_THAT(unpack_outcome(bomb(head, 2 * kUnpackedMiB), {.most = 5 * kUnpackedMiB}), Catch::Contains("more than 5.0 MiB"));
}

TEST_CASE("a damaged primary superblock ends no unpacking while a backup may come", "[unpack]") {
  if (without_libarchive()) return;
  CHECK(unpack_outcome(bomb(ext_without_primary(), 0)).empty());
  CHECK(unpack_outcome(bomb(ext_without_primary(), 30 * kUnpackedMiB)).empty());
}

TEST_CASE("where the operator says where the file system is, its head is not judged", "[unpack]") {
  if (without_libarchive()) return;
  CHECK(unpack_outcome(bomb("", 140 * kUnpackedMiB), {.any_head = true}).empty());
}
