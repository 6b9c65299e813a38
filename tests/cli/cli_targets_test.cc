
#include "cli/input/targets.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"
#include "tests/support/disk_image.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

// A disk that the tool sees; whatever is audited on it is clean.
struct Disk {
  TempDir directory;
  std::filesystem::path path = directory.path() / "disk.img";
  Tool tool;
  std::vector<std::pair<uint64_t, uint64_t>> audited;  // offset, size

  explicit Disk(const std::string& bytes) {
    write_file(path, bytes);
    tool.environment.engine.audit = [this](const Image& image, Overlay*, const AuditOptions&) -> Result<Audit> {
      audited.emplace_back(image.offset(), image.size());
      return audit_with(Verdict::clean);
    };
  }
  int audit(std::vector<std::string> options = {}) {
    audited.clear();
    options.insert(options.begin(), "audit");
    options.push_back(path);
    return tool(options);
  }
  [[nodiscard]] bool reports(const std::string& rest) const { return tool.printed(path.string() + rest + "\n"); }
};

constexpr size_t kFirst = kMiB, kSecond = 2 * kMiB, kThird = 3 * kMiB;

std::string disk_of(const std::string& second_type) {
  std::string disk = gpt_disk(5 * kMiB, {{kLinuxFiles, kFirst, kMiB}, {second_type, kSecond, kMiB}});
  put_ext_magic(disk, kFirst);
  return disk;
}

void put_luks(std::string& disk, size_t at) {
  disk.replace(at, 8, std::string("LUKS\xba\xbe\0\1", 8));
  disk.replace(at + 168, 36, "0d4b9a1e-7a07-4d43-9d3e-2f0ad5b3a1c4");
}

}  // namespace

TEST_CASE("a partition that is wiped is in the report, and errors are left", "[targets]") {
  Disk d(disk_of(kLinuxFiles));
  CHECK(d.audit() == 4);
  CHECK(d.reports("#p1: clean"));
  CHECK(d.reports("#p2: not-audited (holds nothing that is known)"));
  CHECK(d.audited == std::vector<std::pair<uint64_t, uint64_t>>{{kFirst, kMiB}});
}

TEST_CASE("a partition that LUKS has overwritten is named, though a superblock is left in it", "[targets]") {
  std::string disk = disk_of(kLinuxFiles);
  put_luks(disk, kSecond);
  put_ext_magic(disk, kSecond);
  Disk d(disk);
  CHECK(d.audit({"--format=json"}) == 4);
  CHECK(d.tool.printed(R"("holds": "crypto_LUKS")"));
  CHECK(d.tool.printed(R"~("not_audited": "holds encrypted data (crypto_LUKS)")~"));
  CHECK(d.tool.printed(R"("partition_type": "Linux filesystem")"));
  CHECK(d.audited.size() == 1);
}

TEST_CASE("a partition that was audited before and is none now is errors left, whatever holds it", "[targets]") {
  const std::string type = GENERATE(std::string(kLinuxLvm), std::string(kLinuxSwap));
  std::string disk = disk_of(type);
  put_ext_magic(disk, kSecond);
  Disk d(disk);
  const std::vector<std::string> state{"--state", d.directory.path() / "state"};
  CHECK(d.audit(state) == 0);
  CHECK(d.reports("#p2: clean"));
  put_luks(disk, kSecond);
  write_file(d.path, disk);
  CHECK(d.audit() == 0);
  for (int i = 0; i < 2; ++i) {  // it stays so
    CHECK(d.audit(state) == 4);
    CHECK(d.tool.said("extscrub: " + d.path.string() +
                      "#p2: holds encrypted data (crypto_LUKS), and was an ext file system when it was last audited (20"));
    CHECK(d.tool.printed(
        "#p2: not-audited (holds encrypted data (crypto_LUKS), and was an ext file system when it was last audited (20"));
  }
  for (const char* more : {"--format=json", "--format=junit", "--quiet"}) {
    CHECK(d.audit({state[0], state[1], more}) == 4);
    CHECK(d.tool.printed("was an ext file system when it was last audited"));
  }
  CHECK(d.audit({"--state", d.directory.path() / "other"}) == 0);
}

TEST_CASE("a partition that was audited before and is not in the table any more is missed", "[targets]") {
  std::string disk = disk_of(kLinuxFiles);
  put_ext_magic(disk, kSecond);
  Disk d(disk);
  const fs::path directory = d.directory.path() / "state";
  const std::vector<std::string> state{"--state", directory};
  CHECK(d.audit(state) == 0);
  CHECK(d.audit(state) == 0);
  disk = gpt_disk(5 * kMiB, {{kLinuxFiles, kFirst, kMiB}});
  put_ext_magic(disk, kFirst);
  write_file(d.path, disk);
  for (int i = 0; i < 2; ++i) {  // it stays so
    CHECK(d.audit(state) == 4);
    CHECK(d.reports("#p1: clean"));
    CHECK(
        d.tool.printed("#p2: not-audited (is not among the partitions that were found, and was an ext file system when it was "
                       "last audited (20"));
    CHECK(d.tool.said("If that is meant, remove " + directory.string()));
  }
  CHECK(d.audit({state[0], state[1], "--partition", "1"}) == 0);
  const std::string said = d.audit(state) == 4 ? d.tool.said() : std::string();
  const size_t file = said.find(directory.string());
  REQUIRE(file != std::string::npos);
  fs::remove(said.substr(file, said.size() - file - 1));
  CHECK(d.audit(state) == 0);
  CHECK(d.audit(state) == 0);
  CHECK(d.tool.said().empty());
}

TEST_CASE("a volume where one should be is errors left for a strict audit only", "[targets]") {
  std::string disk = disk_of(kLinuxLvm);
  put_luks(disk, kSecond);
  Disk d(disk);
  CHECK(d.audit() == 0);
  CHECK(d.audit({"--strict"}) == 4);
}

TEST_CASE("swap and boot partitions need no audit", "[targets]") {
  for (const std::string& type : {kLinuxSwap, kBiosBoot}) {
    Disk d(disk_of(type));
    CHECK(d.audit({"--strict"}) == 0);
    CHECK(d.reports("#p2: not-audited (holds nothing that is known)"));
  }
}

TEST_CASE("a disk without any ext file system names what there is", "[targets]") {
  std::string disk = disk_of(kLinuxSwap);
  put_number<uint16_t>(disk, kFirst + 1080, 0);
  Disk d(disk);
  CHECK(d.audit() == 12);
  CHECK(d.tool.said("holds a gpt partition table, not ext2/3/4"));
  CHECK(d.audited.empty());
}

TEST_CASE("of a disk that is cut what is there is audited", "[targets]") {
  std::string disk = disk_of(kLinuxSwap);
  disk.resize(disk.size() - 65536);
  Disk d(disk);
  CHECK(d.audit() == 0);
  CHECK(d.tool.said("the partition table says 5 MiB, the file has 64 KiB less: cut off, or the backup GPT is missing"));
  CHECK(d.audit({"--strict"}) == 4);
  CHECK(d.reports("#p1: clean"));

  disk.resize(kFirst + kMiB / 2);
  Disk half(disk);
  CHECK(half.audit() == 4);
  CHECK(half.tool.said("the partition ends 524288 bytes behind the end of the file"));
  CHECK(half.reports("#p2: not-audited (begins 524288 bytes behind the end of the file)"));
  CHECK(half.audited.size() == 1);
  CHECK(half.tool({"scrub", half.path}) == 12);  // a part of a file system is not written to
  CHECK(half.tool.said("a scrub does not write to it"));
}

TEST_CASE("a primary GPT that is damaged is replaced by its backup, and a backup that is damaged is told of", "[targets]") {
  std::string disk = disk_of(kLinuxSwap);
  disk[512 + 80] ^= 1;
  Disk d(disk);
  CHECK(d.audit() == 0);
  CHECK(d.reports("#p1: clean"));
  CHECK(d.tool.said("the primary GPT is missing or damaged"));

  disk = disk_of(kLinuxSwap);
  disk[disk.size() - 512] = 'X';
  Disk other(disk);
  CHECK(other.audit() == 0);
  CHECK(other.tool.said("the backup GPT, at byte 5242368, is missing or damaged"));

  disk[512] = 'X';
  Disk neither(disk);
  CHECK(neither.audit() == 8);
  CHECK(neither.tool.said("neither the GPT nor its backup can be read"));
}

TEST_CASE("the image of a disk with sectors of 4096 bytes", "[targets]") {
  std::string disk = gpt_disk(4 * kMiB, {{kLinuxFiles, kFirst, kMiB}}, 4096);
  put_ext_magic(disk, kFirst);
  Disk gpt(disk);
  CHECK(gpt.audit() == 0);
  CHECK(gpt.reports("#p1: clean"));

  disk.assign(4 * kMiB, '\0');
  put_dos_entry(disk, 0, 0, 0x83, kFirst / 4096, kMiB / 4096);
  put_ext_magic(disk, kFirst);
  Disk dos(disk);
  CHECK(dos.audit() == 0);
  CHECK(dos.audited == std::vector<std::pair<uint64_t, uint64_t>>{{kFirst, kMiB}});
}

TEST_CASE("partitions that overlap are refused, both", "[targets]") {
  std::string disk =
      gpt_disk(5 * kMiB, {{kLinuxFiles, kFirst, kMiB}, {kLinuxFiles, kFirst, 2 * kMiB}, {kLinuxFiles, kThird, kMiB}});
  put_ext_magic(disk, kFirst);
  put_ext_magic(disk, kThird);
  Disk d(disk);
  CHECK(d.audit() == 4);
  CHECK(d.reports("#p1: not-audited (overlaps partition 2)"));
  CHECK(d.reports("#p2: not-audited (overlaps partition 1)"));
  CHECK(d.reports("#p3: clean"));
  CHECK(d.audit({"--partition", "1"}) == 4);
  CHECK(d.audited.empty());
}

TEST_CASE("logical partitions are found, and a chain that never ends is left", "[targets]") {
  std::string disk(8 * kMiB, '\0');
  put_dos_entry(disk, 0, 0, 0x05, kFirst / 512, 4 * kMiB / 512);
  put_dos_entry(disk, kFirst, 0, 0x83, 8, 1024);
  put_dos_entry(disk, kFirst, 1, 0x05, kMiB / 512, kMiB / 512);
  put_dos_entry(disk, kSecond, 0, 0x83, 8, 1024);
  put_ext_magic(disk, kFirst + 4096);
  put_ext_magic(disk, kSecond + 4096);
  Disk d(disk);
  CHECK(d.audit() == 0);
  CHECK(d.reports("#p5: clean"));
  CHECK(d.reports("#p6: clean"));

  put_dos_entry(disk, kSecond, 1, 0x05, 0, kMiB / 512);
  Disk loop(disk);
  CHECK(loop.audit() == 4);
  CHECK(loop.tool.said("breaks off at byte 1048576: it comes back to where it was"));
  CHECK(loop.reports("#p6: clean"));
}

TEST_CASE("there is a limit to the partitions that are looked at", "[targets]") {
  std::vector<GptPartition> partitions;
  for (size_t i = 0; i < 5; ++i) partitions.push_back({kLinuxSwap, kFirst + i * 4096, 4096});
  Disk d(gpt_disk(2 * kMiB, partitions));
  CHECK(d.audit({"--max-partitions", "3"}) == 12);
  CHECK(d.reports("#p3: not-audited (holds nothing that is known)"));
  CHECK_FALSE(d.tool.printed("#p4"));
  CHECK(d.tool.said("has more than 3 partitions, and the rest is not looked at (--max-partitions)"));
}

TEST_CASE("a superblock that is named counts in the partition that is named, and in no disk with partitions", "[targets]") {
  Disk d(disk_of(kLinuxFiles));
  CHECK(d.audit({"--partition", "2", "--superblock", "3", "--block-size", "1024"}) == 0);
  CHECK(d.audited == std::vector<std::pair<uint64_t, uint64_t>>{{kSecond, kMiB}});
  for (const std::string command : {"audit", "scrub"}) {
    CHECK(d.tool({command, "--superblock", "8193", d.path}) == 8);
    CHECK(d.tool.said("holds a gpt partition table"));
    CHECK(d.tool.said("--partition N"));
  }
  CHECK(d.audit({"--offset", "0", "--superblock", "8193"}) == 0);  // who insists
  CHECK(d.audited == std::vector<std::pair<uint64_t, uint64_t>>{{0, 5 * kMiB}});
  CHECK(d.audit({"--offset", "2M", "--superblock", "3"}) == 0);  // and not past the end of a partition
  CHECK(d.audited == std::vector<std::pair<uint64_t, uint64_t>>{{kSecond, kMiB}});
}

TEST_CASE("a boot sector in front of an ext file system is no table, unless its partitions hold something", "[targets]") {
  std::string disk(4 * kMiB, '\0');
  put_dos_entry(disk, 0, 0, 0x83, kFirst / 512, kMiB / 512);
  put_ext_magic(disk, 0);
  Disk whole(disk);
  CHECK(whole.audit({"--superblock", "1"}) == 0);
  CHECK(whole.reports(": clean"));
  CHECK(whole.audited == std::vector<std::pair<uint64_t, uint64_t>>{{0, 4 * kMiB}});

  put_ext_magic(disk, kFirst);
  Disk both(disk);
  CHECK(both.audit() == 0);
  CHECK(both.reports("#p1: clean"));
  CHECK(both.audited.size() == 1);
  CHECK(both.audit({"--strict"}) == 4);
  CHECK(both.tool({"scrub", "--superblock", "1", both.path}) == 8);
}
