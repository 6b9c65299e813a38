#include "cli/disk/disk_header.h"

#include "cli/disk/disk_chain.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
using namespace std::string_literals;

namespace {

std::string as_big(uint64_t value, size_t size) {
  std::string bytes;
  for (size_t i = size; i-- > 0;) bytes += i < sizeof value ? static_cast<char>(value >> (8 * i)) : '\0';
  return bytes;
}
std::string as_little(uint64_t value, size_t size) {
  std::string bytes = as_big(value, size);
  return {bytes.rbegin(), bytes.rend()};
}
void place(std::string& bytes, size_t at, std::string_view what) { bytes.replace(at, what.size(), what); }

struct Qcow2 {
  uint64_t version = 3, features = 0, encryption = 0, header_length = 104;
  std::string backing = {}, extensions = {};

  [[nodiscard]] std::string bytes() const {
    constexpr size_t kNameAt = 1024;
    std::string head = "QFI\xfb" + as_big(version, 4) + as_big(backing.empty() ? 0 : kNameAt, 8) + as_big(backing.size(), 4) +
                       as_big(16, 4) + as_big(8 << 20, 8) + as_big(encryption, 4) + as_big(1, 4) + std::string(32, '\0');
    if (version == 3) head += as_big(features, 8) + as_big(0, 16) + as_big(4, 4) + as_big(header_length, 4);
    head += extensions;
    head.resize(65536);
    place(head, kNameAt, backing);
    return head;
  }
};

std::string extension(uint32_t type, std::string_view data) {
  std::string bytes = as_big(type, 4) + as_big(data.size(), 4) + std::string(data);
  bytes.resize((bytes.size() + 7) / 8 * 8);
  return bytes;
}
const std::string kRawBacking = extension(0xe2792aca, "raw");

std::string vmdk(const std::string& descriptor, uint64_t capacity = 16384) {
  std::string bytes = "KDMV" + as_little(1, 4) + as_little(3, 4) + as_little(capacity, 8) + as_little(128, 8) + as_little(1, 8) +
                      as_little(20, 8);
  bytes.resize(65536);
  place(bytes, 512, descriptor);
  return bytes;
}

std::string vpc(uint32_t type) {
  std::string footer = "conectix" + as_big(2, 4) + as_big(0x10000, 4) + as_big(512, 8);
  footer.resize(512);
  place(footer, 60, as_big(type, 4));
  std::string dynamic = "cxsparse"s;
  dynamic.resize(1024);
  for (size_t i = 0; const char c : "base.vhd"s) dynamic[65 + 2 * i++] = c;
  return footer + dynamic + std::string(2048, '\0') + footer;
}

std::string vhdx(bool parent) {
  std::string bytes(1 << 20, '\0');
  place(bytes, 0, "vhdxfile");
  place(bytes, 192 << 10,
        "regi" + as_little(0, 4) + as_little(1, 4) + as_little(0, 4) +
            "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"s + as_little(512 << 10, 8));
  place(bytes, 512 << 10, "metadata" + as_little(0, 2) + as_little(1, 2));
  place(bytes, (512 << 10) + 32,
        "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"s + as_little(64 << 10, 4) + as_little(8, 4));
  place(bytes, (576 << 10), as_little(1 << 20, 4) + as_little(parent ? 2 : 0, 4));
  return bytes;
}

std::string vdi(uint32_t type) {
  std::string bytes(4096, '\0');
  place(bytes, 0x40, "\x7f\x10\xda\xbe");
  place(bytes, 0x4c, as_little(type, 4));
  return bytes;
}

const std::string kText = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n";

struct NamedDisk {
  std::string what, format, bytes, role, name;
};

Result<DiskHeader> header_of(const TempDir& dir, const std::string& format, const std::string& bytes) {
  const auto file = Image::open(write_file(dir.path() / "disk", bytes));
  REQUIRE(file);
  return read_disk_header(*file, format);
}

// What the chain of this disk says, without a helper.
std::string chain_refusal(const TempDir& dir, const NamedDisk& disk, bool follow) {
  const auto chain = DiskChain::open(write_file(dir.path() / "disk.img", disk.bytes), disk.format, false, follow);
  return chain ? "" : text_of(chain.error());
}

}  // namespace

TEST_CASE("files that a virtual disk's header names are found, and not opened", "[virtual]") {
  const TempDir dir;
  const std::vector<NamedDisk> disks = {
      {"v2 backing", "qcow2", Qcow2{.version = 2, .backing = "/etc/hosts"}.bytes(), "backing file", "/etc/hosts"},
      {"v3 backing", "qcow2", Qcow2{.backing = "../victim", .extensions = kRawBacking}.bytes(), "backing file", "../victim"},
      {"json", "qcow2", Qcow2{.backing = "json:{\"driver\":\"nbd\"}", .extensions = kRawBacking}.bytes(), "backing file",
       "json:{\"driver\":\"nbd\"}"},
      {"data file", "qcow2", Qcow2{.features = 4, .extensions = extension(0x44415441, "victim")}.bytes(), "data file", "victim"},
      {"data file without a name", "qcow2", Qcow2{.features = 4}.bytes(), "data file", ""},
      {"data file without its bit", "qcow2",
       Qcow2{.extensions = extension(0x12345678, "?") + extension(0x44415441, "victim")}.bytes(), "data file", "victim"},
      {"flat extent", "vmdk", kText + "RW 16 FLAT \"victim\" 0\n", "extent", "victim"},
      {"device extent", "vmdk", kText + "RW 16 FLAT \"/dev/sda\" 0\n", "extent", "/dev/sda"},
      {"parent of a text", "vmdk", kText + "parentFileNameHint=\"base.vmdk\"\n", "parent", "base.vmdk"},
      {"parent", "vmdk", vmdk(kText + "parentFileNameHint=\"base.vmdk\"\nRW 16 SPARSE \"me.vmdk\"\n"), "parent", "base.vmdk"},
      {"parent's CID only", "vmdk", vmdk("# Disk DescriptorFile\nparentCID=12345678\n"), "parent", ""},
      {"embedded, two extents", "vmdk", vmdk(kText + "RW 16 SPARSE \"me.vmdk\"\nRW 16 FLAT \"victim\" 0\n"), "extent", "me.vmdk"},
      {"embedded, no capacity", "vmdk", vmdk(kText + "RW 16 FLAT \"victim\" 0\n", 0), "extent", "victim"},
      {"parent", "vhdx", vhdx(true), "parent", ""},
      {"differencing", "vpc", vpc(4), "parent", "base.vhd"},
      {"differencing", "vdi", vdi(4), "parent", ""}};
  for (const NamedDisk& disk : disks) {
    INFO(disk.format << ", " << disk.what);
    const auto header = header_of(dir, disk.format, disk.bytes);
    REQUIRE(header);
    REQUIRE_FALSE(header->references.empty());
    CHECK(header->references.front().role == disk.role);
    CHECK(header->references.front().name == disk.name);
    const std::string message = chain_refusal(dir, disk, false);
    CHECK_THAT(message, Catch::Contains(disk.role) && Catch::Contains(disk.name) && Catch::Contains("--follow-backing"));
  }
}

TEST_CASE("a virtual disk that is all in one file names no other", "[virtual]") {
  const TempDir dir;
  const std::vector<std::pair<std::string, std::string>> disks = {
      {"qcow2", Qcow2{.version = 2}.bytes()},
      {"qcow2", Qcow2{}.bytes()},
      {"vmdk", vmdk(kText + "RW 16384 SPARSE \"another name.vmdk\"\n")},
      {"vmdk", kText + "RW 16384 ZERO\n"},
      {"vhdx", vhdx(false)},
      {"vpc", vpc(3)},
      {"vpc", vpc(2)},
      {"vdi", vdi(1)},
      {"vdi", vdi(2)}};
  for (const auto& [format, bytes] : disks) {
    INFO(format);
    const auto header = header_of(dir, format, bytes);
    REQUIRE(header);
    CHECK(header->references.empty());
    CHECK(chain_refusal(dir, {"", format, bytes, "", ""}, false).empty());
  }
}

TEST_CASE("a header that cannot be trusted to be read as qemu reads it is refused", "[virtual]") {
  const TempDir dir;
  Qcow2 far{.backing = "x"};
  std::string far_name = far.bytes(), short_one = Qcow2{}.bytes().substr(0, 90), wild = Qcow2{}.bytes();
  place(far_name, 8, as_big(uint64_t{1} << 40, 8));
  place(wild, 104, as_big(0x12345678, 4) + as_big(0xfffffff0, 4));
  const std::vector<std::tuple<std::string, std::string, std::string>> disks = {
      {"qcow2", Qcow2{.version = 1}.bytes(), "version 1"},
      {"qcow2", Qcow2{.version = 4}.bytes(), "version 4"},
      {"qcow2", Qcow2{.encryption = 2}.bytes(), "encrypted"},
      {"qcow2", far_name, "backing file"},
      {"qcow2", short_one, "cut off"},
      {"qcow2", wild, "extension"},
      {"qcow2", Qcow2{.header_length = 1 << 30}.bytes(), "header_length"},
      {"qcow2", vdi(1), "one in the format vdi"},
      {"vdi", std::string(4096, '\0'), "no vdi"},
      {"vhdx", "vhdxfile" + std::string(8192, '\0'), "region table"}};
  for (const auto& [format, bytes, what] : disks) {
    INFO(format << ", " << what);
    const auto header = header_of(dir, format, bytes);
    REQUIRE_FALSE(header);
    CHECK_THAT(text_of(header.error()), Catch::Contains(what));
  }
}

TEST_CASE("--follow-backing ends at the image's own folder", "[virtual]") {
  const TempDir dir;
  std::filesystem::create_directories(dir.path() / "images" / "base");
  const auto images = dir.path() / "images";
  write_file(dir.path() / "outside", "x");
  write_file(images / "base" / "inside", std::string(8192, '\0'));
  std::filesystem::create_symlink("../outside", images / "leads-outside");
  std::filesystem::create_symlink("base/inside", images / "leads-inside");
  const auto open = [&](const std::string& backing, const std::string& extensions = kRawBacking) {
    const std::string name = write_file(images / "disk.qcow2", Qcow2{.backing = backing, .extensions = extensions}.bytes());
    auto chain = DiskChain::open(name, "qcow2", true, true);
    if (!chain) return text_of(chain.error());
    CHECK(chain->files().front().writable);
    CHECK_FALSE(chain->files().back().writable);
    const auto qemu = chain->qemu_name(4, dir.path());
    REQUIRE(qemu);
    return *qemu;
  };
  const std::string inside = R"(json:{"backing":{"driver":"raw","file":{"driver":"file","filename":"/proc/self/fd/5"}},)"
                             R"("driver":"qcow2","file":{"driver":"file","filename":"/proc/self/fd/4"}})";
  for (const std::string& name : {"base/inside"s, "leads-inside"s, "base/../base/inside"s, (images / "base/inside").native()})
    CHECK(open(name) == inside);
  for (const std::string& name : {"../outside"s, "leads-outside"s, "/etc/hosts"s, (dir.path() / "outside").native()})
    CHECK_THAT(open(name), Catch::Contains("not below the image's own folder"));
  for (const std::string& name : {"json:{}"s, "nbd://localhost"s, "file:base/inside"s, "fat:base"s})
    CHECK_THAT(open(name), Catch::Contains("another way to get at data"));
  CHECK_THAT(open("base"), Catch::Contains("no regular file"));
  CHECK_THAT(open("base/absent"), Catch::Contains("No such file"));
  CHECK_THAT(open("base/inside", ""), Catch::Contains("does not say in which format"));
  CHECK_THAT(open("base/inside", extension(0xe2792aca, "luks")), Catch::Contains("luks"));
  CHECK_THAT(open("disk.qcow2", extension(0xe2792aca, "qcow2")), Catch::Contains("in a row"));  // on itself
  CHECK_THAT(open("base/inside", extension(0xe2792aca, "qcow2")), Catch::Contains("holds no qcow2"));
}

TEST_CASE("qemu is told not to look for a backing file where there is none", "[virtual]") {
  const TempDir dir;
  auto chain = DiskChain::open(write_file(dir.path() / "a,b=c.img", Qcow2{}.bytes()), "qcow2", false, false);
  REQUIRE(chain);
  CHECK(chain->qemu_name(4, dir.path()) ==
        R"(json:{"backing":null,"driver":"qcow2","file":{"driver":"file","filename":"/proc/self/fd/4"}})");
}

TEST_CASE("the parts that a VMDK text names are handed over under their names", "[virtual]") {
  const TempDir dir;
  const TempDir links;
  write_file(dir.path() / "part.vmdk", vmdk(""));
  const std::string name =
      write_file(dir.path() / "disk.vmdk", kText + "RW 16 SPARSE \"part.vmdk\"\nRW 16 SPARSE \"part.vmdk\"\n");
  {
    auto chain = DiskChain::open(name, "vmdk", true, true);
    REQUIRE(chain);
    REQUIRE(chain->qemu_name(4, links.path()));
    CHECK(std::filesystem::read_symlink(links.path() / "disk0" / "part.vmdk") == "/proc/self/fd/5");
    CHECK(chain->files().back().writable);
  }
  CHECK(std::filesystem::is_empty(links.path()));
  write_file(dir.path() / "disk.vmdk", kText + "RW 16 FLAT \"sub/part.vmdk\" 0\n");
  const auto other = DiskChain::open(name, "vmdk", true, true);
  REQUIRE_FALSE(other);
  CHECK_THAT(text_of(other.error()), Catch::Contains("another folder"));
}
