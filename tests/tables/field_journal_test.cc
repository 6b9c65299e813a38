// A fault for every field of the journal: its superblock, and the blocks of a transaction that waits to be replayed.

#include "scan/format/crc.h"
#include "scan/format/journal_superblock.h"
#include "tests/support/catch.h"
#include "tests/support/past_image.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;
using namespace jbd2;

// Two blocks are logged as they lie in place, and a third is revoked: what the replay does can be seen by nothing.
struct WaitingLog {
  TestImage image = small_ext4().copy();
  uint64_t super = 0, descriptor = 0, data = 0, revoke = 0, commit = 0;

  WaitingLog() {
    JournalLog log(image, kLogWithSums);
    const auto block = [&](uint64_t number) {
      std::vector<std::byte> bytes(image.block_size());
      image.read(image.offset(number), bytes);
      return std::pair(number, bytes);
    };
    super = log.offset_of(0);
    descriptor = log.offset_of(log.next());
    data = log.offset_of(log.next() + 1);
    log.descriptor({block(image.block_of("/dir")), block(image.block_of("/"))});
    revoke = log.offset_of(log.next());
    log.revoke({image.block_of("/many")});
    commit = log.offset_of(log.next());
    log.commit();
  }
};

const WaitingLog& waiting() {
  static const WaitingLog log;
  return log;
}

uint32_t seed_of_log(const TestImage& image) {
  std::vector<std::byte> uuid(16);
  image.read(waiting().super + kUuid, uuid);
  return crc32c(~0u, uuid);
}

template <size_t kAt>
void seal_log_block(const SealedSpot& at) {
  std::vector<std::byte> block(at.geometry.block_size);
  at.image.read(at.spot.at, block);
  put_be32(block, kAt, 0);
  at.image.poke(at.spot.at + kAt, __builtin_bswap32(crc32c(seed_of_log(at.image), block)));
}

void seal_log_super(const SealedSpot& at) {
  std::vector<std::byte> block(kSuperSize);
  at.image.read(at.spot.at, block);
  if (be32(block, kIncompat) & (kIncompatCsumV2 | kIncompatCsumV3))
    at.image.poke(at.spot.at + kChecksum,
                  __builtin_bswap32(extscrub::journal_superblock_checksum(Bytes(block).first<kSuperSize>())));
}

const TestImage& waiting_image() { return waiting().image; }

}  // namespace

TEST_CASE("a fault for every field of the journal's superblock", "[fields]") {
  const FieldTable table = {
      "journal superblock",          1024, waiting_image, [](const TestImage&) { return Spot{waiting().super}; }, seal_log_super,
      {journal_superblock_checksum}, {},   true};
  check_fields(table, {{"h_magic", 0x00, 4, {0, 1}, lossy(journal_superblock)},
                       {"h_blocktype", 0x04, 4, {0, 1, 3, 5}, lossy(journal_superblock)},
                       {"h_sequence", 0x08, 4, {7}, unseen("the superblock belongs to no transaction")},
                       {"s_blocksize", 0x0C, 4, {0, 512, 4096}, lossy(journal_superblock)},
                       {"s_maxlen", 0x10, 4, {0, 5, 1025, ~0u}, lossy(journal_superblock)},
                       {"s_first", 0x14, 4, {0, 1024, ~0u}, lossy(journal_superblock)},
                       {"s_sequence", 0x18, 4, {9, 11, ~0u}, unseen("a log that begins with another number is an empty one")},
                       {"s_start", 0x1C, 4, {1024, ~0u}, lossy(journal_superblock)},
                       {"s_start", 0x1C, 4, {0, 5}, unseen("a log that begins there is an empty one")},
                       {"s_errno", 0x20, 4, {5, ~0u}, note(journal_error)},
                       {"s_feature_compat", 0x24, 4, {1}, lossy(journal_superblock)},
                       {"s_feature_compat",
                        0x24,
                        4,
                        {0x80000000},
                        unseen("the kernel uses a journal with features that it does not know, of this kind")},
                       {"s_feature_incompat", 0x28, 4, {flip(0x8), flip(0x80000000)}, lossy(journal_superblock)},
                       {"s_feature_ro_compat", 0x2C, 4, {1, 0x80000000}, lossy(journal_superblock)},
                       {"s_uuid", 0x30, 16, {fill(0), flip(1)}, lossy(journal_checksum)},
                       {"s_nr_users", 0x40, 4, {2, ~0u}, lossy(journal_superblock)},
                       {"s_dynsuper", 0x44, 4, {1, ~0u}, unseen("nobody reads it")},
                       {"s_max_transaction", 0x48, 4, {1, ~0u}, unseen("nobody reads it")},
                       {"s_max_trans_data", 0x4C, 4, {1, ~0u}, unseen("nobody reads it")},
                       {"s_checksum_type", 0x50, 1, {0, 1, 0xFF}, lossy(journal_superblock)},
                       {"s_padding2", 0x51, 3, {fill(0xFF)}, unseen(kPadding)},
                       {"s_num_fc_blks", 0x54, 4, {1, ~0u}, unseen(kOff)},
                       {"s_head", 0x58, 4, {1, ~0u}, unseen("a hint for a journal without fast commits")},
                       {"s_padding", 0x5C, 160, {fill(0xFF)}, unseen(kPadding)},
                       {"s_checksum", 0xFC, 4, {flip(1)}, unseen(kSealedAgain)},
                       {"s_users", 0x100, 768, {fill(0xFF)}, unseen("nobody reads it")}});
}

TEST_CASE("a fault for every field of a descriptor block and of what it logs", "[fields]") {
  const FieldTable table = {"journal descriptor",
                            1024,
                            waiting_image,
                            [](const TestImage&) { return Spot{waiting().descriptor}; },
                            seal_log_block<1020>,
                            {journal_checksum, journal_log},
                            {},
                            true};
  constexpr const char* kEnd = "the transaction has no end, as one that was not committed";
  check_fields(table, {{"h_magic", 0, 4, {0, 1}, unseen_uncovered(kEnd)},
                       {"h_blocktype", 4, 4, {0, 3, 6}, unseen_uncovered(kEnd)},
                       {"h_sequence", 8, 4, {9, 11, ~0u}, unseen_uncovered(kEnd)},
                       {"t_blocknr", 12, 4, {4096, ~0u}, lossy(journal_log)},
                       {"t_flags", 16, 4, {flip(8), flip(2)}, unseen_uncovered(kEnd)},
                       {"t_blocknr_high", 20, 4, {1, ~0u}, lossy(journal_log)},
                       {"t_checksum", 24, 4, {0, flip(1)}, lossy(journal_checksum)},
                       {"the UUID", 28, 16, {fill(0xFF)}, unseen("nobody reads it")},
                       {"the other tag: t_blocknr", 44, 4, {4096, ~0u}, lossy(journal_log)},
                       {"the other tag: t_flags", 48, 4, {flip(8)}, unseen_uncovered(kEnd)},
                       {"the other tag: t_blocknr_high", 52, 4, {1, ~0u}, lossy(journal_log)},
                       {"the other tag: t_checksum", 56, 4, {0, flip(1)}, lossy(journal_checksum)},
                       {"behind the tags", 60, 960, {fill(0xFF)}, unseen("nobody reads it")},
                       {"the tail's checksum", 1020, 4, {flip(1)}, unseen(kSealedAgain)}});
  const FieldTable data = {"logged block", 1024, waiting_image, [](const TestImage&) { return Spot{waiting().data}; }};
  check_fields(data, {{"bytes", 0, 1024, {fill(0xFF), flip(1)}, lossy(journal_checksum)}});
}

TEST_CASE("a fault for every field of a commit block and a revoke block", "[fields]") {
  const FieldTable commit = {
      "journal commit",   1024, waiting_image, [](const TestImage&) { return Spot{waiting().commit}; }, seal_log_block<16>,
      {journal_checksum}, {},   true};
  constexpr const char* kNever = "the transaction was never committed";
  check_fields(commit, {{"h_magic", 0, 4, {0, 1}, unseen_uncovered(kNever)},
                        {"h_blocktype", 4, 4, {0, 3, 6}, unseen_uncovered(kNever)},
                        {"h_sequence", 8, 4, {9, 11, ~0u}, unseen_uncovered(kNever)},
                        {"h_chksum_type", 12, 1, {1, 0xFF}, unseen("the superblock says the kind")},
                        {"h_chksum_size", 13, 1, {1, 0xFF}, unseen("the superblock says the kind")},
                        {"h_padding", 14, 2, {1, 0xFFFF}, unseen(kPadding)},
                        {"h_chksum", 16, 4, {flip(1)}, unseen(kSealedAgain)},
                        {"h_chksum, the other seven", 20, 28, {fill(0xFF)}, unseen("nobody reads it")},
                        {"h_commit_sec", 48, 8, {0, ~0ull}, unseen("any time is right")},
                        {"h_commit_nsec", 56, 4, {1, ~0u}, unseen("any time is right")},
                        {"behind it", 60, 964, {fill(0xFF)}, unseen(kPadding)}});
  const FieldTable revoke = {
      "journal revoke",   1024, waiting_image, [](const TestImage&) { return Spot{waiting().revoke}; }, seal_log_block<1020>,
      {journal_checksum}, {},   true};
  check_fields(revoke, {{"h_magic", 0, 4, {0, 1}, unseen_uncovered(kNever)},
                        {"h_blocktype", 4, 4, {0, 3, 6}, unseen_uncovered(kNever)},
                        {"h_sequence", 8, 4, {9, 11, ~0u}, unseen_uncovered(kNever)},
                        {"r_count", 12, 4, {0}, unseen("it revokes nothing")},
                        {"r_count", 12, 4, {1021, ~0u}, lossy(journal_log)},
                        {"the blocks", 16, 8, {4096, ~0ull}, unseen("what is revoked need not be there")},
                        {"behind the blocks", 24, 996, {fill(0xFF)}, unseen("nobody reads it")},
                        {"the tail's checksum", 1020, 4, {flip(1)}, unseen(kSealedAgain)}});
}

}  // namespace extscrub::test
