#include "scan/format/crc.h"
#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "tests/writeback/writeback_support.h"

namespace extscrub::test::wb {

namespace {

ErrorMark mark_of(int error, uint64_t block = 77, std::string_view function = "extscrub_write") {
  return {{error, block, function, 0}, {error, block, function, 0}, 1, 1700000000};
}

std::string name_in(const unsigned char (&field)[32]) {
  const auto* end = std::find(field, field + 32, 0);
  return {field, end};
}

}  // namespace

TEST_CASE("error mark of an EIO: errcode 2, the error bit set, all other state bits kept", "[behaviour-8]") {
  auto bytes = make_superblock(4096);
  auto sb = load<ext2_super_block>(bytes);
  const uint16_t state = GENERATE(0, 4, 0x20, 1 | 4);
  sb.s_state = state;
  store(bytes, 0, sb);
  apply_error_mark(bytes, mark_of(EIO));

  sb = load<ext2_super_block>(bytes);
  CHECK(sb.s_state == (state | 2));
  CHECK(sb.s_errors == 2);
  CHECK(sb.s_error_count == 1);
  CHECK(sb.s_first_error_errcode == 2);
  CHECK(sb.s_last_error_errcode == 2);
  CHECK(sb.s_first_error_block == 77);
  CHECK(sb.s_last_error_block == 77);
  CHECK(name_in(sb.s_first_error_func) == "extscrub_write");
  CHECK(sb.s_first_error_time == 1700000000);
}

TEST_CASE("error mark lies at the offsets of the on-disk format") {
  Superblock bytes{};
  ErrorMark mark{{EIO, 0x1122334455, "first", 7}, {ENOSPC, 0x66778899AA, "last", 8}, 3, 0x12'34567890};
  apply_error_mark(bytes, mark);
  CHECK(load<uint16_t>(bytes, 0x3A) == 2);
  CHECK(load<uint32_t>(bytes, 0x194) == 3);
  CHECK(load<uint32_t>(bytes, 0x198) == 0x34567890);
  CHECK(load<uint64_t>(bytes, 0x1A0) == 0x1122334455);
  CHECK(load<char>(bytes, 0x1A8) == 'f');
  CHECK(load<uint32_t>(bytes, 0x1C8) == 7);
  CHECK(load<uint32_t>(bytes, 0x1CC) == 0x34567890);
  CHECK(load<uint32_t>(bytes, 0x1D4) == 8);
  CHECK(load<uint64_t>(bytes, 0x1D8) == 0x66778899AA);
  CHECK(load<char>(bytes, 0x1E0) == 'l');
  CHECK(load<uint8_t>(bytes, 0x278) == 0x12);
  CHECK(load<uint8_t>(bytes, 0x279) == 0x12);
  CHECK(load<uint8_t>(bytes, 0x27A) == 2);
  CHECK(load<uint8_t>(bytes, 0x27B) == 6);
  CHECK(load<uint32_t>(bytes, 0x3FC) == 0);  // no metadata_csum, no checksum
}

TEST_CASE("image with an old first error: first stays, last is new, the count grows", "[behaviour-9]") {
  auto bytes = make_superblock(4096);
  auto sb = load<ext2_super_block>(bytes);
  sb.s_error_count = 5;
  sb.s_first_error_block = 1;
  sb.s_first_error_errcode = 5;
  SECTION("with the low bytes of its time") { sb.s_first_error_time = 99; }
  SECTION("with a time whose low bytes are zero") { sb.s_first_error_time_hi = 1; }
  store(bytes, 0, sb);
  auto mark = mark_of(EIO);
  mark.count = 2;
  apply_error_mark(bytes, mark);

  const auto after = load<ext2_super_block>(bytes);
  CHECK(after.s_first_error_block == 1);
  CHECK(after.s_first_error_errcode == 5);
  CHECK(after.s_first_error_time == sb.s_first_error_time);
  CHECK(after.s_first_error_time_hi == sb.s_first_error_time_hi);
  CHECK(after.s_last_error_block == 77);
  CHECK(after.s_last_error_errcode == 2);
  CHECK(after.s_error_count == 7);
}

TEST_CASE("stale errcode with both times zero is overwritten") {
  auto bytes = make_superblock(4096);
  auto sb = load<ext2_super_block>(bytes);
  sb.s_first_error_errcode = sb.s_last_error_errcode = 12;
  store(bytes, 0, sb);
  apply_error_mark(bytes, mark_of(ENOMEM));
  CHECK(load<ext2_super_block>(bytes).s_first_error_errcode == 3);
}

TEST_CASE("function name of 33 characters is cut at 32 bytes and overruns nothing", "[behaviour-10]") {
  auto bytes = make_superblock(4096);
  const std::string name(33, 'x');
  apply_error_mark(bytes, mark_of(EIO, 77, name));
  const auto sb = load<ext2_super_block>(bytes);
  CHECK(name_in(sb.s_first_error_func) == std::string(32, 'x'));
  CHECK(name_in(sb.s_last_error_func) == std::string(32, 'x'));
  CHECK(sb.s_first_error_line == 0);
  CHECK(load<uint32_t>(bytes, 0x200) == 0);  // s_mount_opts, behind s_last_error_func
}

TEST_CASE("shorter function name leaves nothing of the longer one before it") {
  auto bytes = make_superblock(4096);
  apply_error_mark(bytes, mark_of(EIO, 1, std::string(32, 'x')));
  apply_error_mark(bytes, mark_of(EIO, 1, "short"));
  CHECK(name_in(load<ext2_super_block>(bytes).s_last_error_func) == "short");
}

TEST_CASE("error count does not wrap") {
  auto bytes = make_superblock(4096);
  auto sb = load<ext2_super_block>(bytes);
  sb.s_error_count = 0xFFFFFFFE;
  store(bytes, 0, sb);
  auto mark = mark_of(EIO);
  mark.count = 5;
  apply_error_mark(bytes, mark);
  CHECK(load<ext2_super_block>(bytes).s_error_count == 0xFFFFFFFF);
}

TEST_CASE("errnos become the numbers of ext4") {
  CHECK(error_code_of(EIO) == 2);
  CHECK(error_code_of(ENOMEM) == 3);
  CHECK(error_code_of(EBADMSG) == 4);
  CHECK(error_code_of(EUCLEAN) == 5);
  CHECK(error_code_of(ENOSPC) == 6);
  CHECK(error_code_of(ENOKEY) == 7);
  CHECK(error_code_of(EROFS) == 8);
  CHECK(error_code_of(EFBIG) == 9);
  CHECK(error_code_of(EBUSY) == 13);
  CHECK(error_code_of(ESHUTDOWN) == 16);
  CHECK(error_code_of(EFAULT) == 17);
  CHECK(error_code_of(EDQUOT) == 1);
  CHECK(error_code_of(-EIO) == 1);  // the sign is the caller's business
}

TEST_CASE("arming clears the valid bit alone, and seals") {
  auto bytes = make_superblock(4096);
  apply_error_mark(bytes, mark_of(EIO));
  arm_superblock(bytes);
  CHECK(load<ext2_super_block>(bytes).s_state == (2 | 4));
  CHECK(is_sound_superblock(bytes));
  CHECK_FALSE(says_clean(bytes));
}

TEST_CASE("journal superblock gets s_errno -5, and its checksum where it has one") {
  Superblock bytes{};
  const auto put = [&](size_t at, uint32_t value) { store(bytes, at, htobe32(value)); };
  put(0, 0xC03B3998);
  put(4, 4);
  CHECK(is_journal_superblock(bytes));
  SECTION("without checksums") {
    set_journal_error(bytes);
    CHECK(load<uint32_t>(bytes, 0xFC) == 0);
  }
  SECTION("with csum_v3") {
    put(0x28, 0x10);
    put(0xFC, 0x12345678);
    CHECK_FALSE(is_sound_journal_superblock(bytes));
    set_journal_error(bytes);
    CHECK(is_sound_journal_superblock(bytes));
    const uint32_t sum = be32toh(load<uint32_t>(bytes, 0xFC));
    put(0xFC, 0);
    CHECK(sum == crc32c(~0u, bytes));
  }
  CHECK(load<uint32_t>(bytes, 0x20) == htobe32(0xFFFFFFFB));
}

}  // namespace extscrub::test::wb
