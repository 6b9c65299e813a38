// Logs written by hand, in every format, replayed in memory; and logs that are damaged in one place.

#include <algorithm>

#include "audit/auditor.h"
#include "scan/load/load_file_system.h"
#include "tests/support/catch.h"
#include "tests/support/recovered.h"

namespace extscrub::test {

namespace {

using namespace jbd2;

// Free blocks of the image, far from anything.
constexpr uint64_t kA = 20001, kB = 20002, kC = 20003;

const LogFormat kV3 = {.incompat = kIncompatRevoke | kIncompatCsumV3 | kIncompat64Bit};

}  // namespace

TEST_CASE("log of two transactions in every format", "[journal]") {
  for (const LogFormat& format : log_formats()) {
    INFO("version " << format.version << ", compat " << format.compat << ", incompat " << format.incompat);
    const TestImage image("ext4-plain");
    JournalLog log(image, format);
    log.descriptor({{kA, log.block_of('a')}, {kB, log.block_of('b')}});
    log.commit();
    log.descriptor({{kA, log.block_of('c')}});
    log.commit();
    const uint64_t before = image.fingerprint();
    const Recovered r(image);
    CHECK(r.recovery.journal.defects.empty());
    CHECK(r.recovery.journal.transactions == 2);
    CHECK(r.recovery.journal.replayed_blocks == 3);
    CHECK(r.block(kA) == log.block_of('c'));
    CHECK(r.block(kB) == log.block_of('b'));
    const auto super = r.block(log.offset_of(0) / image.block_size());
    CHECK(be32(super, kStart) == 0);
    CHECK(be32(super, kSequence) == format.sequence + 3);
    const auto fs = load_superblock(r.image, &*r.overlay, {});
    REQUIRE(fs);
    CHECK_FALSE(fs->geometry.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER));
    CHECK(image.fingerprint() == before);
  }
}

TEST_CASE("revoked block is not replayed, one logged again is", "[journal]") {
  for (const LogFormat& format : log_formats()) {
    if (!(format.incompat & kIncompatRevoke)) continue;
    INFO("compat " << format.compat << ", incompat " << format.incompat);
    const TestImage image("ext4-plain");
    JournalLog log(image, format);
    log.descriptor({{kA, log.block_of('a')}, {kB, log.block_of('b')}});
    log.commit();
    log.revoke({kA, kB});
    log.commit();
    log.descriptor({{kB, log.block_of('B')}});
    log.commit();
    const Recovered r(image);
    CHECK(r.recovery.journal.defects.empty());
    CHECK(r.recovery.journal.revoked_blocks == 2);
    CHECK(r.block(kA) == log.block_of('\0'));
    CHECK(r.block(kB) == log.block_of('B'));
  }
}

TEST_CASE("block that begins with the journal's magic number", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kV3);
  auto block = log.block_of('m');
  put_be32(block, 0, kMagic);
  log.descriptor({{kA, block}});
  log.commit();
  CHECK(Recovered(image).block(kA) == block);
}

TEST_CASE("log that goes over its end", "[journal]") {
  const TestImage image("ext4-plain");
  const uint32_t length = JournalLog(image, {}).length();
  LogFormat format = kV3;
  format.start = length - 2;
  JournalLog log(image, format);
  log.descriptor({{kA, log.block_of('a')}, {kB, log.block_of('b')}, {kC, log.block_of('c')}});
  log.commit();
  const Recovered r(image);
  CHECK(r.recovery.journal.defects.empty());
  CHECK(r.block(kA) == log.block_of('a'));
  CHECK(r.block(kC) == log.block_of('c'));
}

TEST_CASE("transaction without a commit is left out", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kV3);
  log.descriptor({{kA, log.block_of('a')}});
  log.commit();
  log.descriptor({{kA, log.block_of('x')}});
  const Recovered r(image);
  CHECK(r.recovery.journal.defects.empty());
  CHECK(r.recovery.journal.transactions == 1);
  CHECK(r.block(kA) == log.block_of('a'));
}

TEST_CASE("damaged block of the log: what is before it is replayed", "[journal]") {
  struct Damage {
    const char* name;
    uint32_t log_block;  // 1 descriptor, 2 logged block, 3 commit of the first; 4, 5, 6 of the second
    JournalDefectKind kind;
    char expected;  // what block kA holds then
  };
  const Damage kDamage[] = {
      {"second descriptor", 4, JournalDefectKind::descriptor_checksum, 'a'},
      {"second commit", 6, JournalDefectKind::commit_checksum, 'a'},
      {"second logged block", 5, JournalDefectKind::block_checksum, 'a'},
      {"first commit", 3, JournalDefectKind::commit_checksum, '\0'},
  };
  for (const Damage& d : kDamage) {
    INFO(d.name);
    const TestImage image("ext4-plain");
    JournalLog log(image, kV3);
    for (const char fill : {'a', 'b'}) {
      log.descriptor({{kA, log.block_of(fill)}});
      log.commit();
    }
    image.fill(log.offset_of(d.log_block) + 100, 4, std::byte{0xEE});
    const Recovered r(image);
    CHECK(r.has(d.kind));
    CHECK_FALSE(r.recovery.journal.whole);
    CHECK(r.block(kA) == log.block_of(d.expected));
  }
}

TEST_CASE("damaged block of an earlier life of the log is its end", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kV3);
  log.descriptor({{kA, log.block_of('a')}});
  log.commit(2'000'000);
  log.descriptor({{kA, log.block_of('b')}});
  log.commit(1'000'000);
  image.fill(log.offset_of(4) + 100, 4, std::byte{0xEE});
  const Recovered r(image);
  CHECK(r.recovery.journal.defects.empty());
  CHECK(r.recovery.journal.transactions == 1);
  CHECK(r.block(kA) == log.block_of('a'));
}

TEST_CASE("logged block that belongs behind the end of the image", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kV3);
  log.descriptor({{uint64_t{1} << 40, log.block_of('a')}, {kB, log.block_of('b')}});
  log.commit();
  const Recovered r(image);
  CHECK(r.has(JournalDefectKind::target));
  CHECK(r.block(kB) == log.block_of('b'));
}

TEST_CASE("revoke record longer than its block", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, {.incompat = kIncompatRevoke});
  log.revoke({kA});
  log.commit();
  image.fill(log.offset_of(1) + kRevokeCount, 4, std::byte{0xFF});
  CHECK(Recovered(image).has(JournalDefectKind::revoke_count));
}

TEST_CASE("log that is nothing but descriptors of one transaction ends", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, {});
  for (uint32_t i = 1; i < log.length(); i += 2) log.descriptor({{kA, log.block_of('a')}});
  const Recovered r(image);
  CHECK(r.recovery.journal.transactions == 0);
  CHECK(r.block(kA) == log.block_of('\0'));
}

TEST_CASE("error in the journal moves to the superblock", "[journal]") {
  const TestImage image("ext4-plain");
  JournalLog log(image, kV3);
  log.descriptor({{kA, log.block_of('a')}});
  log.commit();
  std::vector<std::byte> error(4);
  put_be32(error, 0, static_cast<uint32_t>(-5));
  image.write(log.offset_of(0) + kErrno, error);
  log.seal_super();
  const Recovered r(image);
  CHECK(r.recovery.journal.error == 5);
  const auto fs = load_superblock(r.image, &*r.overlay, {});
  REQUIRE(fs);
  CHECK(fs->super.s_state & EXT2_ERROR_FS);
  CHECK(be32(r.block(log.offset_of(0) / image.block_size()), kErrno) == 0);
}

TEST_CASE("external journal of another file system", "[journal]") {
  const TestImage image("ext4-plain");
  const TestImage device({"-b", "1024", "-O", "journal_dev"}, "8M");
  image.fill(kSuperblockOffset + offsetof(ext2_super_block, s_journal_uuid), 16, std::byte{0x11});
  image.fill(kSuperblockOffset + offsetof(ext2_super_block, s_journal_inum), 4, std::byte{0});
  const Result<Image> journal = Image::open(device.path()), opened = Image::open(image.path());
  REQUIRE(journal);
  REQUIRE(opened);
  AuditOptions options;
  options.jobs = 2;
  options.journal = &*journal;
  const Result<Audit> audited = audit(*opened, nullptr, options);
  REQUIRE(audited);
  CHECK(std::ranges::count(audited->findings, Problem::journal_device, &Finding::problem) == 1);
  CHECK(audited->verdict == Verdict::damaged);
}

TEST_CASE("journal superblock with an impossible field", "[journal]") {
  const std::pair<size_t, JournalDefectKind> kFields[] = {
      {kHeaderMagic, JournalDefectKind::magic},
      {kHeaderType, JournalDefectKind::block_type},
      {kBlockSize, JournalDefectKind::block_size},
      {kMaxLen, JournalDefectKind::length},
      {kFirst, JournalDefectKind::first},
      {kStart, JournalDefectKind::start},
      {kIncompat, JournalDefectKind::unknown_features},
  };
  for (const auto& [at, kind] : kFields) {
    INFO(name(kind));
    const TestImage image("ext4-plain");
    const JournalLog log(image, {});
    image.fill(log.offset_of(0) + at, 4, std::byte{0x77});
    const Recovered r(image);
    CHECK(r.has(kind));
    CHECK_FALSE(r.recovery.journal.usable);
    CHECK(r.overlay->staged().empty());
  }
}

}  // namespace extscrub::test
