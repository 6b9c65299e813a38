#include <fmt/format.h>

#include "audit/rules/rules.h"
#include "scan/filesystem/mmp.h"

namespace extscrub {

namespace {

std::string_view text(std::span<const uint8_t> bytes) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all.substr(0, all.find('\0'));
}

}  // namespace

void check_mmp(const FileSystem& fs, const MmpFacts& facts, Findings& findings) {
  const auto add = [&](Problem problem, const char* field, std::string expected, std::string found) {
    Finding& f = findings.emplace_back();
    f.problem = problem;
    f.block = BlockNo(fs.super.s_mmp_block);
    f.field = field;
    if (problem == Problem::read_error)
      f.evidence = Unreadable{UnreadPart::other, std::move(found)};
    else
      f.evidence = Note{std::move(expected), std::move(found)};
  };
  const mmp_struct& m = facts.block;
  if (!facts.located)
    return add(Problem::mmp_block, "s_mmp_block", "a block of the file system", fmt::to_string(fs.super.s_mmp_block));
  if (!facts.readable) return add(Problem::read_error, "", "", "block of multiple-mount protection");
  if (m.mmp_magic != EXT4_MMP_MAGIC)
    return add(Problem::mmp_block, "mmp_magic", fmt::format("{:#010x}", EXT4_MMP_MAGIC), fmt::format("{:#010x}", m.mmp_magic));
  if (!facts.checksum_ok)
    return add(Problem::mmp_checksum, "mmp_checksum", fmt::format("{:#010x}", facts.checksum_expected),
               fmt::format("{:#010x}", m.mmp_checksum));
  if (m.mmp_seq == EXT4_MMP_SEQ_CLEAN) return;
  const auto who = fmt::format("by {} on {}", text(m.mmp_nodename), text(m.mmp_bdevname));
  if (m.mmp_seq == EXT4_MMP_SEQ_FSCK) return add(Problem::mmp_in_use, "mmp_seq", "", "being checked " + who);
  if (m.mmp_seq > EXT4_MMP_SEQ_MAX) return add(Problem::mmp_block, "mmp_seq", "", fmt::format("{:#x}", m.mmp_seq));
  add(Problem::mmp_in_use, "mmp_seq", "", "mounted " + who);
}

}  // namespace extscrub
