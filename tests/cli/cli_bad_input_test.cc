// What is no ext2/3/4 image gets a line that names it and the reason, exit status 8, and is left as it was.
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

std::string zeros(size_t size) { return std::string(size, '\0'); }

void put(std::string& bytes, size_t at, std::string_view value) { bytes.replace(at, value.size(), value); }

// Big-endian, as XFS stores its numbers.
void put_be(std::string& bytes, size_t at, uint64_t value, int size) {
  for (int i = 0; i < size; ++i) bytes[at + static_cast<size_t>(i)] = static_cast<char>(value >> (8 * (size - 1 - i)));
}

// A superblock that passes libblkid's look at an XFS: magic number and a geometry without contradictions.
std::string xfs_image() {
  std::string bytes = zeros(1 << 20);
  put(bytes, 0, "XFSB");
  put_be(bytes, 4, 4096, 4);   // sb_blocksize
  put_be(bytes, 8, 4096, 8);   // sb_dblocks
  put_be(bytes, 80, 1, 4);     // sb_rextsize
  put_be(bytes, 84, 1024, 4);  // sb_agblocks
  put_be(bytes, 88, 4, 4);     // sb_agcount
  put_be(bytes, 100, 4, 2);    // sb_versionnum
  put_be(bytes, 102, 512, 2);  // sb_sectsize
  put_be(bytes, 104, 256, 2);  // sb_inodesize
  put_be(bytes, 106, 16, 2);   // sb_inopblock
  put_be(bytes, 120, 12, 1);   // sb_blocklog
  put_be(bytes, 121, 9, 1);    // sb_sectlog
  put_be(bytes, 122, 8, 1);    // sb_inodelog
  put_be(bytes, 123, 4, 1);    // sb_inopblog
  put_be(bytes, 124, 10, 1);   // sb_agblklog
  put_be(bytes, 127, 25, 1);   // sb_imax_pct
  return bytes;
}

std::string squashfs_image() {
  std::string bytes = zeros(1 << 20);
  put(bytes, 0, "hsqs");
  put(bytes, 28, std::string("\4\0\0\0", 4));  // version 4.0
  return bytes;
}

std::string partitioned_image() {
  std::string bytes = zeros(4 << 20);
  put(bytes, 446, std::string("\0\0\2\0\x83\0\0\0\0\x08\0\0\0\x10\0\0", 16));  // type 83, from sector 2048, 4096 sectors
  put(bytes, 510, "\x55\xAA");
  return bytes;
}

struct Refused {
  Tool tool;
  TempDir directory;

  // Both commands refuse the image with these words, and do not touch it.
  void check(const std::string& bytes, const std::string& words) {
    const fs::path image = write_file(directory.path() / "some.img", bytes);
    for (const std::string command : {"audit", "scrub"}) {
      CAPTURE(command);
      CHECK(tool({command, image}) == 8);
      CAPTURE(tool.said());
      CHECK(tool.said("extscrub: " + image.string() + ": "));
      CHECK(tool.said(words));
      CHECK(tool.printed() == image.string() + ": unreadable\n");
      CHECK(read_file(image) == bytes);
    }
  }
};

}  // namespace

TEST_CASE("an image that is not there") {
  Tool tool;
  CHECK(tool({"audit", "/nonexistent/disk.img"}) == 8);
  CHECK(tool.said() == "extscrub: /nonexistent/disk.img: cannot open: No such file or directory\n");
}

TEST_CASE("a directory is no image") {
  const TempDir directory;
  Tool tool;
  CHECK(tool({"scrub", directory.path()}) == 8);
  CHECK(tool.said("extscrub: " + directory.path().string() + ": "));
  CHECK(tool.said("Is a directory"));
}

TEST_CASE("a pipe is no image, and is not waited for") {
  const TempDir directory;
  const fs::path pipe = directory.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  Tool tool;
  CHECK(tool({"audit", pipe}) == 8);
  CHECK(tool.said("neither a regular file nor a block device"));
}

TEST_CASE("an image without permission to read it") {
  if (::geteuid() == 0) {
    WARN("skipped: root may read everything");
    return;
  }
  const TempDir directory;
  const fs::path image = write_ext_like(directory.path() / "secret.img");
  fs::permissions(image, fs::perms::none);
  Tool tool;
  CHECK(tool({"audit", image}) == 8);
  CHECK(tool.said("Permission denied"));
}

TEST_CASE("an empty file") { Refused().check("", "empty"); }

TEST_CASE("a file too short for a superblock") { Refused().check(zeros(1500), ""); }

TEST_CASE("nothing but zeros") { Refused().check(zeros(1 << 20), ""); }

TEST_CASE("random bytes") {
  std::mt19937 random(4711);
  std::string bytes = zeros(1 << 20);
  for (char& byte : bytes) byte = static_cast<char>(random());
  Refused().check(bytes, "");
}

TEST_CASE("an xfs image is named") { Refused().check(xfs_image(), "holds an xfs file system, not ext2/3/4"); }

TEST_CASE("a squashfs image is named") { Refused().check(squashfs_image(), "holds a squashfs file system, not ext2/3/4"); }

TEST_CASE("swap space is named") {
  std::string bytes = zeros(1 << 20);
  put(bytes, 1024, std::string("\1\0\0\0\xff\0\0\0", 8));  // version 1, last page 255
  put(bytes, 4086, "SWAPSPACE2");
  Refused().check(bytes, "holds swap space, not ext2/3/4");
}

TEST_CASE("the image of a partitioned disk is told where its partitions begin") {
  const TempDir directory;
  const fs::path image = write_file(directory.path() / "disk.img", partitioned_image());
  Tool tool;
  for (const std::string command : {"audit", "scrub"}) {
    CHECK(tool({command, image}) == 12);
    CHECK(tool.said("holds a dos partition table, not ext2/3/4; its partitions begin at --offset 1048576"));
    CHECK(read_file(image) == partitioned_image());
  }
}

TEST_CASE("another file system at an offset is named") {
  const TempDir directory;
  const fs::path image = write_file(directory.path() / "disk.img", zeros(1 << 20) + squashfs_image());
  Tool tool;
  CHECK(tool({"audit", "--offset=1M", image}) == 8);
  CHECK(tool.said("squashfs"));
}

TEST_CASE("an offset behind the end of the image") {
  const TempDir directory;
  const fs::path image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  CHECK(tool({"audit", "--offset=1G", image}) == 8);
  CHECK(tool.said("--offset 1073741824 lies behind the end"));
}

TEST_CASE("a name full of control characters is escaped in messages and reports") {
  Tool tool;
  CHECK(tool({"audit", "/nonexistent/\x1b[2J\n"}) == 8);
  CHECK(tool.said("/nonexistent/\\x1b[2J\\n: "));
  CHECK_FALSE(tool.said("\x1b"));
  CHECK_FALSE(tool.printed("\x1b"));
}

TEST_CASE("what is wrong with one image does not keep the others from being done") {
  const TempDir directory;
  const fs::path sound = write_ext_like(directory.path() / "sound.img");
  Tool tool;
  answer_audits_with(tool, audit_with(Verdict::clean));
  CHECK(tool({"audit", "/nonexistent/a", sound, directory.path()}) == 8);
  CHECK(
      tool.printed("/nonexistent/a: unreadable\n" + sound.string() + ": clean\n" + directory.path().string() + ": unreadable\n"));
}

TEST_CASE("an image that makes the audit run out of memory is one among others") {
  const TempDir directory;
  const fs::path first = write_ext_like(directory.path() / "first.img");
  const fs::path second = write_ext_like(directory.path() / "second.img");
  Tool tool;
  tool.environment.engine.audit = [&](const Image& image, Overlay*, const AuditOptions&) -> Result<Audit> {
    if (image.path() == first) throw std::bad_alloc();
    return audit_with(Verdict::clean);
  };
  CHECK(tool({"audit", first, second}) == 8);
  CHECK(tool.said("memory"));
  CHECK(tool.printed("second.img: clean"));
}
