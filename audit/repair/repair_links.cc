#include <fmt/format.h>

#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/edit/lost_found.h"
#include "audit/repair/repair.h"
#include "audit/stage/primary_superblock.h"
#include "scan/attribute/xattr.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

// A checksum that was wrong before says that more is; who may lose something does without it.
template <class Change>
Result<void> change_links(RepairRound& round, InodeNo ino, Change&& change) {
  return change_inode(round, ino, change, round.lossy());
}

uint16_t stored_links(const RepairRound& round, InodeNo ino) {
  std::vector<std::byte> raw(round.geometry().inode_size);
  return read_inode(round.fs(), ino, raw) ? load<uint16_t>(raw, offsetof(ext2_inode, i_links_count)) : UINT16_MAX;
}

// A regular file without contents and attributes: nothing goes away with it.
Result<bool> is_empty(const RepairRound& round, InodeNo ino) {
  const Geometry& g = round.geometry();
  std::vector<std::byte> raw(g.inode_size);
  if (auto r = read_inode(round.fs(), ino, raw); !r) return std::unexpected(r.error());
  const Inode inode(g, ino, raw);
  return inode.type() == FileType::regular && inode.size() == 0 && inode.blocks512() == 0 && !inode.ea_block() &&
         inode_ea_entries(g, inode).empty();
}

Result<void> delete_inode(RepairRound& round, Finding& f) {
  const auto remove = [&](MutableBytes raw) {
    store(raw, offsetof(ext2_inode, i_links_count), uint16_t{0});
    store(raw, offsetof(ext2_inode, i_dtime), round.now);
  };
  if (auto r = change_links(round, *f.inode, remove); !r) return r;
  f.repair = RepairState::staged;
  round.lose(f, "empty file without a name deleted");
  round.stale = true;
  return {};
}

Result<size_t> name_unattached(RepairRound& round) {
  size_t answered = 0;
  std::vector<Finding*> findings;
  std::vector<InodeNo> inodes;
  for (Finding& f : round.findings.of(Problem::inode_unattached)) {
    if (!round.may(f.problem) || round.awaited.contains(*f.inode)) continue;
    auto empty = is_empty(round, *f.inode);
    if (!empty) return std::unexpected(empty.error());
    if (*empty) {
      if (auto r = delete_inode(round, f); !r) return std::unexpected(r.error());
      ++answered;
      continue;
    }
    findings.push_back(&f);
    inodes.push_back(*f.inode);
  }
  auto attached = attach(round, inodes);
  if (!attached) return std::unexpected(attached.error());
  for (size_t i = 0; i < attached->names.size(); ++i) {
    findings[i]->repair = RepairState::staged;
    round.lose(*findings[i], fmt::format("file named lost+found/{}", attached->names[i]));
    round.stale = true;
  }
  return answered + attached->names.size();
}

}  // namespace

Result<size_t> repair_links(RepairRound& round) {
  const bool hidden = !round.lossy() && names_may_be_hidden(round);
  auto named = hidden ? Result<size_t>(0) : name_unattached(round);
  if (!named || round.stale) return named;
  size_t answered = *named;
  for (Finding& f : round.findings.of(Pass::links)) {
    if (f.problem == Problem::feature_dir_nlink && round.may(f.problem)) {
      const auto set = [](ext2_super_block& s) { s.s_feature_ro_compat |= EXT4_FEATURE_RO_COMPAT_DIR_NLINK; };
      if (auto r = edit_primary_superblock(round.overlay, set); !r) return std::unexpected(r.error());
      f.repair = RepairState::staged;
      ++answered;
    }
    if (f.problem != Problem::inode_links || !round.may(f.problem)) continue;
    const auto links = static_cast<uint16_t>(std::min<uint64_t>(expected_number(f.evidence).value_or(0), UINT16_MAX));
    if (hidden && links < stored_links(round, *f.inode)) continue;  // the other names may be among those that were not seen
    const auto set = [&](MutableBytes raw) { store(raw, offsetof(ext2_inode, i_links_count), links); };
    if (auto r = change_links(round, *f.inode, set); !r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

}  // namespace extscrub
