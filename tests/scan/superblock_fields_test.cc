// What a superblock and a journal's superblock say beside the numbers of the file system: the record of errors, as a value and
// back, and the seals.
#include <random>

#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "tests/support/catch.h"

using namespace extscrub;

namespace {

template <class T>
T random_bytes(uint32_t seed) {
  std::mt19937 random(seed);
  T value{};
  for (std::byte& byte : mutable_bytes_of(value)) byte = static_cast<std::byte>(random());
  return value;
}

std::vector<size_t> differences(Bytes a, Bytes b) {
  std::vector<size_t> at;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) at.push_back(i);
  return at;
}

}  // namespace

TEST_CASE("the record of errors comes back as it went, whatever is in it") {
  const auto super = random_bytes<ext2_super_block>(1);
  ext2_super_block again{};
  set_error_fields(again, error_fields(super));
  for (size_t at = 0; at < kSuperblockSize; ++at) {
    INFO("byte " << at);
    const bool of_errors = (at >= 0x194 && at < 0x200) || (at >= 0x278 && at < 0x27C);
    CHECK(bytes_of(again)[at] == (of_errors ? bytes_of(super)[at] : std::byte{}));
  }
}

TEST_CASE("a replayed superblock keeps the stored record of errors, but for the times' high bytes and the codes") {
  auto stored = random_bytes<ext2_super_block>(2);
  auto replayed = random_bytes<ext2_super_block>(3);
  stored.s_state = EXT2_ERROR_FS;
  replayed.s_state = EXT2_VALID_FS;
  const auto before = replayed;
  keep_errors(stored, replayed);
  CHECK(replayed.s_state == (EXT2_ERROR_FS | EXT2_VALID_FS));
  for (const size_t at : differences(bytes_of(before), bytes_of(replayed))) CHECK(((at >= 0x194 && at < 0x200) || at == 0x3A));
  CHECK(error_fields(replayed).count == error_fields(stored).count);
  CHECK(error_fields(replayed).last.function == error_fields(stored).last.function);
  CHECK(error_fields(replayed).first.code == error_fields(before).first.code);
}

TEST_CASE("a seal is written where there is a checksum, and changes nothing else") {
  auto super = random_bytes<ext2_super_block>(4);
  super.s_magic = EXT2_SUPER_MAGIC;
  super.s_feature_ro_compat = GENERATE(0u, uint32_t{EXT4_FEATURE_RO_COMPAT_METADATA_CSUM});
  const auto before = super;
  const auto sound = [&] { return is_sound_superblock(ConstSuperblockBytes(bytes_of(super).first<kSuperblockSize>())); };
  CHECK(sound() == !has_checksum(super));
  seal_superblock(super);
  CHECK(sound());
  for (const size_t at : differences(bytes_of(before), bytes_of(super))) CHECK((has_checksum(super) && at >= 0x3FC));
}

TEST_CASE("a journal's superblock is sealed as it is verified, in each of its versions") {
  auto journal = random_bytes<std::array<std::byte, jbd2::kSuperSize>>(5);
  jbd2::put_be32(journal, jbd2::kHeaderMagic, jbd2::kMagic);
  const uint32_t version = GENERATE(uint32_t{jbd2::kSuperV1}, uint32_t{jbd2::kSuperV2});
  const uint32_t incompat = GENERATE(0u, uint32_t{jbd2::kIncompatCsumV2}, uint32_t{jbd2::kIncompatCsumV3});
  jbd2::put_be32(journal, jbd2::kHeaderType, version);
  jbd2::put_be32(journal, jbd2::kIncompat, incompat);
  const bool has_one = version == jbd2::kSuperV2 && incompat != 0;
  CHECK(is_journal_superblock(journal));
  CHECK(is_sound_journal_superblock(journal) == !has_one);
  set_journal_error(journal);
  CHECK(is_sound_journal_superblock(journal));
  begin_log(journal, 7, 8);
  CHECK(is_sound_journal_superblock(journal));
  CHECK((jbd2::be32(journal, jbd2::kStart) == 7 && jbd2::be32(journal, jbd2::kSequence) == 8 &&
         jbd2::be32(journal, jbd2::kErrno) == 0));
  empty_log(journal);
  CHECK(is_sound_journal_superblock(journal));
  CHECK(jbd2::be32(journal, jbd2::kStart) == 0);
}
