// Damage to the journal, to its log, and to the lists of orphans.
#include <fmt/format.h>

#include <cstddef>

#include "tests/damage/scenario.h"
#include "tests/support/journal_log.h"

namespace extscrub::test {

namespace {

using enum Problem;
using namespace jbd2;

const LogFormat kFormatV3 = {.incompat = kIncompatRevoke | kIncompatCsumV3};

const Scenario kJournalScenarios[] = {
    {journal_device_missing,
     "journal on a device that is not there",
     "ext4-plain",
     [](const TestImage& image) {
       image.fill(kSuperblockOffset + offsetof(ext2_super_block, s_journal_uuid), 16, std::byte{0x11});
       image.fill(kSuperblockOffset + offsetof(ext2_super_block, s_journal_inum), 4, std::byte{0});
       return Place{};
     },
     {reserved_inode}},
    {journal_superblock,
     "journal superblock with more blocks than the journal has",
     "ext4-plain",
     [](const TestImage& image) {
       const JournalLog log(image, {});
       image.fill(log.offset_of(0) + kMaxLen, 4, std::byte{0x11});
       return Place{.inode = EXT2_JOURNAL_INO};
     },
     {journal_needs_recovery}},
    {journal_superblock_checksum,
     "journal superblock changed without being sealed",
     "ext4-plain",
     [](const TestImage& image) {
       const JournalLog log(image, kFormatV3);
       image.fill(log.offset_of(0) + kChecksum, 4, std::byte{0x11});
       return Place{.inode = EXT2_JOURNAL_INO};
     },
     {journal_needs_recovery}},
    {journal_not_empty, "log of a file system that needs no recovery", "ext4-plain",
     [](const TestImage& image) {
       const JournalLog log(image, {});
       image.debugfs("feature -needs_recovery");
       return Place{.inode = EXT2_JOURNAL_INO};
     }},
    {journal_checksum,
     "commit block that is damaged",
     "ext4-plain",
     [](const TestImage& image) {
       JournalLog log(image, kFormatV3);
       log.descriptor({{20001, log.block_of('a')}});
       log.commit();
       image.fill(log.offset_of(3) + 100, 4, std::byte{0x11});
       return Place{.inode = EXT2_JOURNAL_INO, .logical = 3};
     },
     {journal_needs_recovery},
     true},
    {journal_log,
     "logged block that belongs behind the end of the image",
     "ext4-plain",
     [](const TestImage& image) {
       JournalLog log(image, {});
       log.descriptor({{0x7FFFFFFF, log.block_of('a')}});
       log.commit();
       return Place{.inode = EXT2_JOURNAL_INO, .logical = 2};
     },
     {journal_needs_recovery},
     true},
    {journal_error,
     "journal that the kernel gave up",
     "ext4-plain",
     [](const TestImage& image) {
       JournalLog log(image, {});
       log.descriptor({{20001, log.block_of('a')}});
       log.commit();
       image.fill(log.offset_of(0) + kErrno, 4, std::byte{0xFF});
       return Place{.field = "s_errno"};
     },
     {journal_needs_recovery, superblock_error_mark},
     true},
    {orphan_list,
     "orphan list that begins at a reserved inode",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("ssv last_orphan 5");
       return Place{.inode = 5};
     },
     {orphans_to_release},
     true},
    {orphan_lost, "deleted file that hangs on no orphan list any more", "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/three");
       image.debugfs("rm /three");
       image.debugfs(fmt::format("sif <{}> dtime 22", inode));
       return Place{.inode = inode, .field = "i_dtime"};
     }},
    {orphan_lost, "reserved inode with the number of another where its deletion time is", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("sif <8> dtime 12");
       return Place{.inode = 8, .field = "i_dtime"};
     }},
    {orphan_file, "block of the orphan file without its magic number", "ext4-orphanfile",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("<12>");
       image.fill(image.offset(block + 1) - 8, 4, std::byte{0});
       return Place{.inode = 12, .block = block};
     }},
    {orphan_file, "orphan file that kept its checksums when metadata_csum was turned off", "ext4-orphanfile",
     [](const TestImage& image) {
       (void)run({"tune2fs", "-O", "^metadata_csum", image.path()});
       return Place{.inode = 12};
     }},
    {orphan_file, "orphan file whose journal was taken away", "ext4-orphanfile",
     [](const TestImage& image) {
       (void)run({"tune2fs", "-O", "^has_journal", image.path()});
       return Place{.inode = 12};
     }},
};

}  // namespace

std::span<const Scenario> journal_damage() { return kJournalScenarios; }

}  // namespace extscrub::test
