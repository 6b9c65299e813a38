#include "audit/edit/ea_inode_repair.h"

#include <fmt/format.h>

#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "scan/inodes/ea_inode.h"

namespace extscrub {

namespace {

class ValueRepair {
 public:
  explicit ValueRepair(RepairRound& round) : round_(round), raw_(round.geometry().inode_size) {}

  Result<CondemnedValues> run() {
    for (Finding& f : round_.findings.of(Pass::attributes)) {
      if (!f.inode || !round_.may(f.problem)) continue;
      auto r = repair(f);
      if (!r) return std::unexpected(r.error());
      if (!*r) continue;
      f.repair = RepairState::staged;
      ++result_.answered;
    }
    return std::move(result_);
  }

 private:
  Result<bool> repair(const Finding& f) {
    switch (f.problem) {
      case Problem::ea_inode_unreferenced: return release(f);
      case Problem::ea_inode_refcount: return count(*f.inode);
      case Problem::ea_inode_invalid: return mend(f);
      case Problem::ea_inode_hash: return condemn(f);
      default: return false;
    }
  }

  bool condemn(const Finding& f) {
    if (result_.values.insert(*f.inode).second) result_.causes.emplace(*f.inode, f);
    return true;
  }

  [[nodiscard]] auto references(InodeNo value) const {
    return std::ranges::equal_range(round_.run.scan->ea_values, value, {}, &EaValueReference::value);
  }

  // The count lies in i_ctime (high half) and i_version (low half).
  Result<bool> count(InodeNo ino) {
    if (result_.values.contains(ino)) return true;
    if (!round_.lossy() && !all_was_seen(round_)) return false;
    const uint64_t n = references(ino).size();
    auto r = change_inode_base(round_, ino, [&](ext2_inode& base) {
      base.i_ctime = static_cast<uint32_t>(n >> 32);
      base.osd1.linux1.l_i_version = static_cast<uint32_t>(n);
    });
    if (!r) return std::unexpected(r.error());
    return true;
  }

  // Also one whose contents are damaged: where a file has its i_ctime, it has the upper half of a count.
  [[nodiscard]] bool is_value(const Inode& inode) const {
    if (inode.type() != FileType::regular || has_name(round_, inode.number())) return false;
    if (inode.base().i_ctime == 0 && inode.base().osd1.linux1.l_i_version != 0) return true;
    const auto hash = ea_value_hash(round_.fs(), inode);
    return hash && *hash == inode.base().i_atime;
  }

  // An inode that no attribute names: a value goes with its attribute, anything else has a wrong flag.
  Result<bool> release(const Finding& f) {
    const InodeNo ino = *f.inode;
    if (!read_inode(round_.fs(), ino, raw_)) return false;
    const Inode inode(round_.geometry(), ino, raw_);
    const bool value = is_value(inode);
    auto r = change_inode_base(round_, ino, [&](ext2_inode& base) {
      base.i_flags &= ~uint32_t{EXT4_EA_INODE_FL};
      if (!value) return;
      base.i_links_count = 0;
      base.i_dtime = round_.now;
    });
    if (!r) return std::unexpected(r.error());
    if (value) round_.lose(f, "value of an extended attribute released, which no attribute names", ByteRange{0, inode.size()});
    return round_.stale = true;
  }

  // Kind, links and size are right when the value's hash then matches.
  Result<bool> mend(const Finding& f) {
    const Geometry& g = round_.geometry();
    const InodeNo ino = *f.inode;
    const auto named = references(ino);
    if (named.empty() || !read_inode(round_.fs(), ino, raw_)) return condemn(f);
    const uint32_t size = named.front().size;
    const bool alike = std::ranges::all_of(named, [&](const EaValueReference& r) { return r.size == size; });
    auto base = load<ext2_inode>(raw_);
    if (file_type(base.i_mode) != FileType::regular) base.i_mode = kHiddenFileMode;
    base.i_size = size;
    base.i_size_high = 0;
    if (base.i_links_count == 0) base.i_links_count = 1, base.i_dtime = 0;
    store(MutableBytes(raw_), 0, base);
    const auto hash = ea_value_hash(round_.fs(), Inode(g, ino, raw_));
    if (!alike || !hash || *hash != base.i_atime) return condemn(f);
    if (auto r = change_inode_base(round_, ino, [&](ext2_inode& b) { b = base; }); !r) return std::unexpected(r.error());
    return round_.stale = true;
  }

  RepairRound& round_;
  CondemnedValues result_;
  std::vector<std::byte> raw_;
};

}  // namespace

Result<CondemnedValues> repair_value_inodes(RepairRound& round) { return ValueRepair(round).run(); }

Result<void> restore_value_flag(RepairRound& round, const EaEntry& entry) {
  const Geometry& g = round.geometry();
  const InodeNo ino = entry.value_inode;
  if (!g.has_incompat(EXT4_FEATURE_INCOMPAT_EA_INODE) || !g.valid_inode(ino) || ino.value < g.first_inode) return {};
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(round.fs(), ino, raw)) return {};
  const Inode value(g, ino, raw);
  if (value.is(EXT4_EA_INODE_FL) || value.type() != FileType::regular || value.base().i_links_count == 0) return {};
  if (value.size() != entry.value_size || !is_ea_entry_hash(entry.hash, entry.name, bytes_of(value.base().i_atime))) return {};
  const auto hash = ea_value_hash(round.fs(), value);
  if (!hash || *hash != value.base().i_atime) return {};
  round.stale = true;
  return change_inode_base(round, ino, [](ext2_inode& base) { base.i_flags |= EXT4_EA_INODE_FL; });
}

}  // namespace extscrub
