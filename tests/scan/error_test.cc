// What failed, by kind: callers go by that, so each cause is held to its own; and the sentence that is made of it last.
#include <cerrno>
#include <sstream>

#include "audit/auditor.h"
#include "cli/input/image_list.h"
#include "cli/isolation/report_wire.h"
#include "scan/format/geometry.h"
#include "scan/image/image.h"
#include "scan/load/load_file_system.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"
#include "tests/support/test_image.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

Error open_error(const fs::path& path, uint64_t offset = 0) {
  const auto image = Image::open(path, offset);
  REQUIRE_FALSE(image);
  return image.error();
}

Error geometry_error(const std::function<void(ext2_super_block&)>& spoil) {
  static const TestImage image("ext4-plain");
  ext2_super_block super = image.superblock();
  spoil(super);
  const auto geometry = derive_geometry(super, image.size());
  REQUIRE_FALSE(geometry);
  return geometry.error();
}

Error load_error(const fs::path& path, const LoadOptions& options = {}) {
  const auto image = Image::open(path);
  REQUIRE(image);
  const auto fs = load_superblock(*image, nullptr, options);
  REQUIRE_FALSE(fs);
  return fs.error();
}

}  // namespace

TEST_CASE("the sentence of an error has what there is of it, in order") {
  CHECK(text_of(Error{"it is none"}) == "it is none");
  CHECK(text_of(Error{"it is none", ErrorKind::refused, EBUSY}) == "it is none");  // the system did not say so
  CHECK(text_of(system_error("cannot read block 12", EIO)) == "cannot read block 12: Input/output error");
  CHECK(text_of(file_error("cannot open", "a.img", EACCES)) == "cannot open a.img: Permission denied");
  CHECK(text_of(file_error("cannot open", "a.img", EISDIR, " as an image")) == "cannot open a.img as an image: Is a directory");
  CHECK(text_of(Error{.subject = "a.img", .after = " is empty"}) == "a.img is empty");
  CHECK(text_of(Error{.subject = "a.img", .after = ": it stopped"}) == "a.img: it stopped");
  Error full = file_error("cannot write", "log", ENOSPC);
  full.advice = "set TMPDIR";
  CHECK(text_of(full) == "cannot write log: No space left on device; set TMPDIR");
  CHECK(text_of(Error::cancelled()) == "cancelled");
  CHECK(text_of(Error()).empty());
}

TEST_CASE("a line that begins with a file's name does not say it again, and names any other file") {
  const Error open = file_error("cannot open", "a.img", EACCES);
  CHECK(text_beside("a.img", open) == "cannot open: Permission denied");
  CHECK(text_beside("a", open) == "cannot open a.img: Permission denied");
  CHECK(text_beside("a.img", file_error("cannot open", "a.img", EISDIR, " as an image")) ==
        "cannot open as an image: Is a directory");
  CHECK(text_beside("a.img", Error{.subject = "a.img", .after = " is empty"}) == "is empty");
  CHECK(text_beside("a.img", Error{.subject = "a.img", .after = ": it stopped"}) == "it stopped");
  // What looks like the name is none.
  CHECK(text_beside("it", Error{"it is none"}) == "it is none");
  CHECK(text_beside("it", system_error("cannot open it for writing", EACCES)) == "cannot open it for writing: Permission denied");
}

TEST_CASE("what cannot be opened: the system's reason, or that it is no image") {
  const TempDir dir;
  CHECK(open_error(dir.path() / "none") == file_error("cannot open", dir.path() / "none", ENOENT));
  CHECK(open_error(dir.path()) == file_error("cannot open", dir.path(), EISDIR, " as an image"));
  const Error empty = open_error(write_file(dir.path() / "empty", ""));
  CHECK(empty.kind == ErrorKind::refused);
  CHECK(empty.subject == dir.path() / "empty");
  CHECK(open_error("/dev/null").kind == ErrorKind::refused);
  CHECK(open_error(write_file(dir.path() / "short", "x"), 5).kind == ErrorKind::refused);
}

TEST_CASE("what ends too early is truncated") {
  const TempDir dir;
  const auto image = Image::open(write_file(dir.path() / "short", "123"));
  REQUIRE(image);
  std::byte bytes[4]{};
  const auto read = image->read(0, bytes);
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::truncated);
  CHECK(geometry_error([](auto& s) { s.s_blocks_count *= 2; }).kind == ErrorKind::truncated);
  CHECK(load_error(dir.path() / "short").kind == ErrorKind::truncated);
}

TEST_CASE("no superblock, a damaged one, and one with a feature that is not known") {
  CHECK(geometry_error([](auto& s) { s.s_magic = 0; }).kind == ErrorKind::no_superblock);
  CHECK(geometry_error([](auto& s) { s.s_inode_size = 77; }).kind == ErrorKind::no_superblock);
  CHECK(geometry_error([](auto& s) { s.s_feature_incompat |= 1u << 29; }).kind == ErrorKind::unknown_feature);
  CHECK(geometry_error([](auto& s) { s.s_feature_incompat |= EXT3_FEATURE_INCOMPAT_JOURNAL_DEV; }).kind ==
        ErrorKind::unknown_feature);
}

TEST_CASE("features of a superblock whose checksum is wrong are not believed") {
  const TestImage image({"-b", "1024", "-O", "metadata_csum,^has_journal"}, "4M");
  image.patch<ext2_super_block>(kSuperblockOffset, [](auto& s) { s.s_feature_incompat |= 1u << 29; });
  LoadOptions by_block;
  by_block.superblock = 1;
  by_block.block_size = 1024;
  const Error error = load_error(image.path(), by_block);
  CHECK(error.kind == ErrorKind::no_superblock);
  by_block.superblock = 100;  // where there is none
  CHECK(load_error(image.path(), by_block).kind == ErrorKind::no_superblock);
}

TEST_CASE("a run that is stopped is cancelled, whatever it was at") {
  struct Stopped : Progress {
    [[nodiscard]] bool cancelled() const override { return true; }
    void phase(std::string_view, uint64_t) override {}
    void advance(uint64_t) override {}
  } stopped;
  const TestImage image("ext4-plain");
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  AuditOptions options;
  options.progress = &stopped;
  const auto audited = audit(*opened, nullptr, options);
  REQUIRE_FALSE(audited);
  CHECK(audited.error().kind == ErrorKind::cancelled);
}

TEST_CASE("a list without images asks for nothing; one that cannot be read is the system's fault") {
  Options options;
  options.files_from = "-";
  std::istringstream none;
  const auto listed = list_images(options, &none, nullptr);
  REQUIRE_FALSE(listed);
  CHECK(listed.error().kind == ErrorKind::nothing_asked);
  options.files_from = "/nonexistent/list";
  const auto missing = list_images(options, &none, nullptr);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::system);
  Tool tool;
  const TempDir dir;
  CHECK(tool({"audit", "--files-from", write_file(dir.path() / "empty", "")}) == 16);
  CHECK(tool({"audit", "--files-from", "/nonexistent/list"}) == 8);
  CHECK(tool({"audit", "--files-from", dir.path()}) == 8);
}

TEST_CASE("a partition table is told of where there is no superblock, and not in place of what else went wrong") {
  const TempDir dir;
  std::string disk(4 << 20, '\0');
  disk.replace(446, 16, std::string("\0\0\2\0\x83\0\0\0\0\x08\0\0\0\x10\0\0", 16));
  disk.replace(510, 2, "\x55\xAA");
  const fs::path path = write_file(dir.path() / "disk", disk);
  Tool tool;
  Error error;
  tool.environment.engine.audit = [&](const Image&, Overlay*, const AuditOptions&) -> Result<Audit> {
    return std::unexpected(error);
  };
  const auto said_of_table = [&](ErrorKind kind) {
    error = Error{"the reason", kind};
    CHECK(tool({"audit", "--offset=0", path}) == (kind == ErrorKind::cancelled ? 32 : 8));
    return tool.said("partition table");
  };
  CHECK(said_of_table(ErrorKind::no_superblock));
  for (const ErrorKind kind :
       {ErrorKind::refused, ErrorKind::system, ErrorKind::cancelled, ErrorKind::unknown_feature, ErrorKind::truncated})
    CHECK_FALSE(said_of_table(kind));
}

TEST_CASE("an error comes through the wire as it went, and one of no known kind does not") {
  Error error = file_error("cannot open", "a.img", EACCES, " for writing");
  error.advice = "try again";
  uint64_t budget = 1 << 20;
  CHECK(error_from_bytes(error_to_bytes(error), budget) == error);
  for (int kind = 0; kind < 256; ++kind) {
    error.kind = static_cast<ErrorKind>(kind);
    CHECK(error_from_bytes(error_to_bytes(error), budget).has_value() == (error.kind <= ErrorKind::nothing_asked));
  }
}
