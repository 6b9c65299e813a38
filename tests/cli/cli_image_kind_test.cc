
#include "cli/disk/image_kind.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

using namespace std::string_literals;

struct Disk {
  std::string format, magic, suffix;
  size_t at = 0;
};

const std::vector<Disk> kDisks = {{"qcow2", "QFI\xfb", ".qcow2"},
                                  {"vmdk", "KDMV", ".vmdk"},
                                  {"vmdk", "# Disk DescriptorFile\nversion=1\n", ".vmdk"},
                                  {"vhdx", "vhdxfile", ".vhdx"},
                                  {"vpc", "conectix", ".vhd"},
                                  {"vpc", "conectix", ".vpc", 4096 - 512},
                                  {"vdi", "\x7f\x10\xda\xbe", ".vdi", 0x40}};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// 4096 bytes with the magic number in them, and that of ext2/3/4 as well when that is asked for.
std::string bytes_with(const Disk& disk, bool ext = false) {
  std::string bytes(4096, '\0');
  bytes.replace(disk.at, disk.magic.size(), disk.magic);
  if (ext) bytes.replace(1024 + 56, 2, "\x53\xEF");
  return bytes;
}

ImageKind must_be(const Result<ImageKind>& kind) {
  REQUIRE(kind);
  return *kind;
}

ImageKind kind_of_file(const TempDir& dir, const std::string& name, std::string_view bytes, const std::string& wanted = "") {
  return must_be(kind_of(write_file(dir.path() / name, bytes), wanted));
}

std::string refusal(const TempDir& dir, const std::string& name, std::string_view bytes, const std::string& wanted = "") {
  const auto kind = kind_of(write_file(dir.path() / name, bytes), wanted);
  REQUIRE_FALSE(kind);
  return text_of(kind.error());
}

}  // namespace

TEST_CASE("a virtual disk is one where its name or the operator says so", "[virtual]") {
  const TempDir dir;
  for (const Disk& disk : kDisks) {
    INFO(disk.format << " at " << disk.at);
    for (const ImageKind& kind : {kind_of_file(dir, "disk" + disk.suffix, bytes_with(disk)),
                                  kind_of_file(dir, "DISK" + upper(disk.suffix), bytes_with(disk)),
                                  kind_of_file(dir, "disk.img", bytes_with(disk), disk.format)}) {
      CHECK(kind.form == ImageForm::virtual_disk);
      CHECK(kind.format == disk.format);
    }
    CHECK(kind_of_file(dir, "disk" + disk.suffix, bytes_with(disk), "raw").form == ImageForm::plain);
  }
}

TEST_CASE("what looks like a virtual disk under another name is refused, with what to do", "[virtual]") {
  const TempDir dir;
  for (const Disk& disk : kDisks) {
    INFO(disk.format << " at " << disk.at);
    CHECK_THAT(refusal(dir, "disk.img", bytes_with(disk)),
               Catch::Contains("--virtual-disk=" + disk.format) && Catch::Contains("--virtual-disk=raw"));
    const std::string other = disk.format == "qcow2" ? "vdi" : "qcow2";
    CHECK_THAT(refusal(dir, "disk." + other, bytes_with(disk)), Catch::Contains(disk.format));
    CHECK_THAT(refusal(dir, "disk.img", bytes_with(disk), other), Catch::Contains("is no " + other));
  }
}

TEST_CASE("an ext file system that begins like a virtual disk is an image, but for its name", "[virtual]") {
  const TempDir dir;
  for (const Disk& disk : kDisks) {
    INFO(disk.format << " at " << disk.at);
    CHECK(kind_of_file(dir, "disk.img", bytes_with(disk, true)).form == ImageForm::plain);
    CHECK(kind_of_file(dir, "disk.img.zst", bytes_with(disk, true)).form == ImageForm::plain);
    CHECK(kind_of_file(dir, "disk" + disk.suffix, bytes_with(disk, true)).format == disk.format);
  }
}

TEST_CASE("a name alone makes no virtual disk, and that is said", "[virtual]") {
  const TempDir dir;
  for (const Disk& disk : kDisks) {
    const ImageKind kind = must_be(kind_of(write_ext_like(dir.path() / ("disk" + disk.suffix))));
    CHECK(kind.form == ImageForm::plain);
    CHECK_THAT(kind.warning, Catch::Contains(disk.format));
  }
  CHECK(kind_of_file(dir, "disk.qcow2", std::string(4096, '\0')).form == ImageForm::plain);
  CHECK(kind_of_file(dir, "disk.img", std::string(4096, '\0')).warning.empty());
  CHECK_THAT(refusal(dir, "disk.img", std::string(4096, '\0'), "qcow2"), Catch::Contains("is no qcow2"));
}

TEST_CASE("what is too short for a magic number, or cannot be read, is an image: who opens it says why", "[virtual]") {
  const TempDir dir;
  for (const std::string& bytes : {""s, "QF"s, "conectix"s.substr(0, 7), std::string(0x41, '\x7f')})
    CHECK(kind_of_file(dir, "short", bytes).form == ImageForm::plain);
  CHECK(must_be(kind_of(dir.path() / "nobody")).form == ImageForm::plain);
  CHECK(must_be(kind_of(dir.path())).form == ImageForm::plain);
  CHECK(must_be(kind_of("")).form == ImageForm::plain);
}

TEST_CASE("a magic number elsewhere than in its place is none", "[virtual]") {
  const TempDir dir;
  for (Disk disk : kDisks) {
    ++disk.at;
    if (disk.at + disk.magic.size() <= 4096) CHECK(kind_of_file(dir, "disk.img", bytes_with(disk)).form == ImageForm::plain);
  }
}

TEST_CASE("a compressed image is one also beside virtual disks", "[virtual]") {
  const TempDir dir;
  const ImageKind kind = kind_of_file(dir, "disk.img.zst", "\x28\xb5\x2f\xfd" + std::string(100, '\0'));
  CHECK(kind.form == ImageForm::compressed);
  CHECK(kind.format == "zstd");
}

TEST_CASE("the URI of an NBD server is no file's name", "[virtual]") {
  for (const char* uri :
       {"nbd://host", "nbd://host:10809/disk", "nbd+unix:///disk?socket=/run/nbd", "nbds://host/", "nbds+unix:///?socket=s"}) {
    INFO(uri);
    CHECK(is_nbd_uri(uri));
    CHECK(must_be(kind_of(uri)).form == ImageForm::nbd);
  }
  for (const char* name : {"./nbd://host", "nbd:/host", "nbd", "NBD", "http://host/disk.img", "xnbd://host"}) {
    INFO(name);
    CHECK_FALSE(is_nbd_uri(name));
    CHECK(must_be(kind_of(name)).form == ImageForm::plain);
  }
}
