#include <algorithm>

#include "audit/rules/inode_report.h"
#include "scan/inodes/ea_inode.h"
#include "scan/inodes/xattr_block.h"

namespace extscrub {

namespace {

Problem problem_of(EaDefectKind kind) {
  switch (kind) {
    case EaDefectKind::name: return Problem::ea_entry;
    case EaDefectKind::value_bounds: return Problem::ea_value;
    case EaDefectKind::overlap: return Problem::ea_overlap;
    case EaDefectKind::hash: return Problem::ea_hash;
    case EaDefectKind::value_inode: return Problem::ea_value_inode;
    case EaDefectKind::order: return Problem::ea_order;
  }
  return Problem::ea_entry;
}

void report_defects(const EaFacts& attributes, BlockNo block, InodeReport& report) {
  for (const EaDefect& d : attributes.defects) {
    Finding& f = report.add(problem_of(d.kind));
    if (block) f.block = block;
    f.evidence = Note{d.expected, d.attribute.empty() ? d.found
                                  : d.found.empty()   ? d.attribute
                                                      : fmt::format("{}: {}", d.attribute, d.found)};
  }
}

constexpr size_t kPolicyV1Size = 28, kPolicyV2Size = 40;  // struct fscrypt_context

void check_encryption(const InodeFacts& facts, InodeReport& report) {
  const auto& policy = *facts.encryption;
  const auto wrong = [&](std::string what) { report.wrong(Problem::encryption_policy, "", std::move(what)); };
  if (policy.empty()) return wrong("there is none");
  const auto version = std::to_integer<unsigned>(policy[0]);
  if (version == 0) wrong("its version is 0");
  const size_t expected = version == 1 ? kPolicyV1Size : version == 2 ? kPolicyV2Size : policy.size();
  if (policy.size() != expected) wrong(fmt::format("version {} with {} bytes", version, policy.size()));
}

void check_inline_data(const FileSystem& fs, const InodeFacts& facts, InodeReport& report) {
  const Inode& inode = facts.inode;
  if (!fs.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA) || inode.number().value < fs.geometry.first_inode) return;
  const uint64_t size = inline_data_size(inode, facts.attributes);
  if (size == 0) return report.wrong(Problem::inline_data, "i_flags", "the attribute system.data is missing");
  // A file may end before its room does, or behind it in a hole.
  if (inode.type() == FileType::directory && size != inode.size())
    report.wrong(Problem::inline_data, "i_size", fmt::to_string(inode.size()), fmt::to_string(size));
}

}  // namespace

void check_attributes(const FileSystem& fs, const InodeFacts& facts, Findings& findings) {
  InodeReport report(facts.group, facts.inode.number(), findings);
  if (facts.attributes) report_defects(*facts.attributes, BlockNo(), report);
  if (facts.encryption) check_encryption(facts, report);
  if (facts.inode.is(EXT4_INLINE_DATA_FL)) check_inline_data(fs, facts, report);
}

void check_ea_block(const FileSystem& fs, const EaBlockFacts& facts, Findings& findings) {
  InodeReport report(fs.geometry.group_of(facts.owner), facts.owner, findings);
  const auto wrong = [&](Problem problem, const char* field, FindingEvidence evidence) {
    Finding& f = report.add(problem, field);
    f.block = facts.block;
    f.evidence = std::move(evidence);
  };
  if (!facts.unreadable.empty())
    return wrong(Problem::read_error, "attribute block", Unreadable{UnreadPart::attribute_block, facts.unreadable});
  const ext2_ext_attr_header& h = facts.header;
  if (h.h_magic != EXT2_EXT_ATTR_MAGIC)
    return wrong(Problem::ea_block_header, "h_magic", WrongNumber{EXT2_EXT_ATTR_MAGIC, h.h_magic, Radix::hex});
  if (h.h_blocks != 1) return wrong(Problem::ea_block_header, "h_blocks", WrongNumber{1, h.h_blocks});
  if (!facts.checksum_ok)
    wrong(Problem::ea_block_checksum, "h_checksum", WrongNumber{facts.checksum_expected, h.h_checksum, Radix::hex});
  if (h.h_refcount != facts.references)
    wrong(
        h.h_refcount == facts.references - facts.inline_symlinks ? Problem::inline_symlink_uncounted : Problem::ea_block_refcount,
        "h_refcount", WrongNumber{facts.references, h.h_refcount});
  report_defects(facts.attributes, facts.block, report);
  // Zero keeps the block from being shared.
  if (facts.attributes.defects.empty() && h.h_hash != 0 && h.h_hash != facts.hash_expected)
    wrong(Problem::ea_block_hash, "h_hash", WrongNumber{facts.hash_expected, h.h_hash, Radix::hex});
}

void check_ea_inode(const FileSystem& fs, const EaInodeFacts& facts, Findings& findings) {
  if (!facts.readable) return;  // reported with the attribute, or with the table
  InodeReport report(fs.geometry.group_of(facts.inode), facts.inode, findings);
  if (facts.references == 0) return report.wrong(Problem::ea_inode_unreferenced, "i_flags", "no attribute names it");
  if (!facts.in_use)
    report.wrong(Problem::ea_inode_invalid, "i_links_count", fmt::format("0, but inode {} has a value in it", facts.referrer));
  if (facts.type != FileType::regular)
    report.wrong(Problem::ea_inode_invalid, "i_mode", std::string(name(facts.type)), "regular file");
  if (facts.wrong_size)
    report.wrong(Problem::ea_inode_invalid, "i_size", fmt::to_string(facts.size),
                 fmt::format("{}, as the attribute of inode {} says", facts.wrong_size, facts.referrer));
  if (facts.lustre) return;
  if (facts.stored_references != facts.references)
    report.wrong(Problem::ea_inode_refcount, "i_version", fmt::to_string(facts.stored_references),
                 fmt::to_string(facts.references));
  if (facts.value_read && facts.hash_found != facts.hash_expected)
    report.wrong(Problem::ea_inode_hash, "i_atime", fmt::format("{:#010x}", facts.hash_found),
                 fmt::format("{:#010x}", facts.hash_expected));
}

}  // namespace extscrub
