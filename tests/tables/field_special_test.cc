// A fault for every field of what some features keep beside the files: the MMP block, the orphan file, the quota files.
#include <fmt/format.h>

#include "scan/format/crc.h"
#include "scan/inodes/orphans.h"
#include "tests/support/catch.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

const TestImage& image_with_mmp() {
  // Without files: who writes to such an image has to wait ten seconds first.
  static const TestImage image(with_small_options({"-t", "ext4", "-O", "mmp"}), "4M");
  return image;
}
const TestImage& image_with_orphan_file() {
  static const TestImage image = make_small_image(with_small_options({"-t", "ext4", "-O", "orphan_file"}));
  return image;
}
const TestImage& image_with_quota() {
  static const TestImage image = make_small_image(with_small_options({"-t", "ext4", "-O", "quota"}));
  return image;
}

void seal_mmp(const SealedSpot& at) {
  const auto block = at.image.peek<mmp_struct>(at.spot.at);
  at.image.poke(at.spot.at + offsetof(mmp_struct, mmp_checksum),
                crc32c(at.geometry.csum_seed, bytes_of(block).first(offsetof(mmp_struct, mmp_checksum))));
}

Spot orphan_block(const TestImage& image) {
  const uint32_t inode = image.superblock().s_orphan_file_inum;
  return {image.offset(image.block_of(fmt::format("<{}>", inode))), inode};
}

void seal_orphans(const SealedSpot& at) {
  const auto generation = at.image.peek<uint32_t>(at.image.inode_offset(at.spot.inode) + offsetof(ext2_inode, i_generation));
  std::vector<std::byte> block(at.geometry.block_size);
  at.image.read(at.spot.at, block);
  seal_orphan_block(at.geometry, InodeNo(at.spot.inode), generation, BlockNo(at.spot.at / block.size()), block);
  at.image.write(at.spot.at + block.size() - 4, Bytes(block).last(4));
}

// Block `logical` of the users' quotas.
template <uint64_t kLogical>
Spot quota_block(const TestImage& image) {
  return {image.offset(image.block_of("<3>", kLogical))};
}

}  // namespace

TEST_CASE("a fault for every field of the MMP block", "[fields]") {
  const FieldTable table = {
      "mmp block",    1024,
      image_with_mmp, [](const TestImage& image) { return Spot{image.offset(image.superblock().s_mmp_block)}; },
      seal_mmp,       {Problem::mmp_checksum}};
  check_fields(table, {{"mmp_magic", 0, 4, {0, 1}, safe(Problem::mmp_block)},
                       {"mmp_seq", 4, 4, {0, 1, 0xE24D4D4F}, note(mmp_in_use)},
                       {"mmp_seq", 4, 4, {0xE24D4D50}, note(mmp_in_use)},  // a check is going on
                       {"mmp_time", 8, 8, {0, ~0ull}, unseen("any time is right")},
                       {"mmp_nodename", 16, 64, {fill('n'), fill(0xFF)}, unseen("any name will do")},
                       {"mmp_bdevname", 80, 32, {fill('n'), fill(0xFF)}, unseen("any name will do")},
                       {"mmp_check_interval", 112, 2, {0, 1, 0xFFFF}, unseen("any interval will do")},
                       {"mmp_pad1", 114, 2, {1, 0xFFFF}, unseen(kPadding)},
                       {"mmp_pad2", 116, 904, {fill(0xFF)}, unseen(kPadding)},
                       {"mmp_checksum", 1020, 4, {flip(1)}, unseen(kSealedAgain)}});
}

TEST_CASE("a fault for every field of a block of the orphan file", "[fields]") {
  const FieldTable table = {"orphan block", 1024, image_with_orphan_file, orphan_block, seal_orphans, {Problem::orphan_file}};
  check_fields(table, {{"entry", 0, 4, {1, 5, 161, ~0u, 150}, safe(orphan_list)},
                       {"the other entries", 4, 1012, {fill(0xFF)}, safe(orphan_list)},
                       {"ob_magic", 1016, 4, {0, flip(1)}, safe(Problem::orphan_file)},
                       {"ob_checksum", 1020, 4, {flip(1)}, unseen(kSealedAgain)}});
}

TEST_CASE("a fault for every field of a quota file", "[fields]") {
  const FieldTable header = {"quota header", 1024, image_with_quota, quota_block<0>};
  check_fields(header, {{"dqh_magic", 0, 4, {0, flip(1)}, lossy(Problem::quota_file)},
                        {"dqh_version", 4, 4, {0, 2, ~0u}, lossy(Problem::quota_file)},
                        {"dqi_bgrace", 8, 4, {0, ~0u}, unseen("any time to be over the limit may be given")},
                        {"dqi_igrace", 12, 4, {0, ~0u}, unseen("any time to be over the limit may be given")},
                        {"dqi_flags", 16, 4, {1, ~0u}, unseen("what the quota tools ask for")},
                        {"dqi_blocks", 20, 4, {0, 1, ~0u}, lossy(Problem::quota_file)},
                        {"dqi_free_blk", 24, 4, {1, 100, ~0u}, lossy(Problem::quota_file)},
                        {"dqi_free_entry", 28, 4, {1, 100, ~0u}, lossy(Problem::quota_file)},
                        {"behind it", 32, 992, {fill(0xFF)}, unseen(kPadding)}});
  const FieldTable tree = {"quota tree", 1024, image_with_quota, quota_block<1>};
  check_fields(tree, {{"the block of id 0", 0, 4, {0, 1, 100, ~0u}, lossy(Problem::quota_file)},
                      {"the blocks of other ids", 4, 1020, {fill(0xFF)}, lossy(Problem::quota_file)}});
  const FieldTable leaf = {"quota leaf", 1024, image_with_quota, quota_block<5>};
  check_fields(leaf, {{"dqdh_next_free", 0, 4, {100, ~0u}, lossy(Problem::quota_file)},
                      {"dqdh_prev_free", 4, 4, {100, ~0u}, lossy(Problem::quota_file)},
                      {"dqdh_entries", 8, 2, {0, 2, 0xFFFF}, lossy(Problem::quota_file)},
                      {"dqdh_pad1", 10, 2, {1}, unseen(kPadding)},
                      {"dqdh_pad2", 12, 4, {1}, unseen(kPadding)},
                      {"dqb_id", 16, 4, {1, ~0u}, lossy(Problem::quota_file)},
                      {"dqb_pad", 20, 4, {1}, unseen(kPadding)},
                      {"dqb_ihardlimit, dqb_isoftlimit", 24, 16, {flip(1)}, unseen("any limit may be set")},
                      {"dqb_curinodes", 40, 8, {0, add(1)}, safe(Problem::quota_usage)},
                      {"dqb_bhardlimit, dqb_bsoftlimit", 48, 16, {flip(1)}, unseen("any limit may be set")},
                      {"dqb_curspace", 64, 8, {0, add(1024)}, safe(Problem::quota_usage)},
                      {"dqb_btime, dqb_itime", 72, 16, {flip(1)}, unseen("any time is right")},
                      {"behind the entry", 88, 936, {fill(0xFF)}, lossy(Problem::quota_file)}});
}

}  // namespace extscrub::test
