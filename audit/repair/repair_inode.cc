// The fields of inodes. What is wrong with one inode is mended together, and then it is sealed: a wrong checksum alone says
// that the fields are as somebody meant them, one beside other damage goes with the repair of that.
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "audit/repair/inode_repair.h"
#include "audit/repair/repair.h"
#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/reserved_inodes.h"
#include "scan/filesystem/table_block.h"
#include "scan/format/checksum.h"
#include "scan/format/dir_block.h"

namespace extscrub {

namespace {

// The findings that speak of an inode itself, its map and its attributes.
constexpr EnumSet<Scope> kOfInode = {Scope::inode, Scope::map, Scope::attributes, Scope::value};

bool is_own(const Finding& f) { return info(f.problem).mend.passes.has(Pass::inode_fields); }

Result<void> seal_extent_block(const InodeAtWork& work, BlockNo at) {
  auto block = work.round.overlay.edit(at);
  if (!block) return std::unexpected(block.error());
  const uint32_t crc =
      extent_block_checksum(inode_seed(work.round.geometry(), work.ino, work.inode().base().i_generation), *block);
  store(*block, extent_tail_offset(*block), crc);
  return {};
}

void clear(const InodeAtWork& work, size_t offset, size_t size) {
  std::ranges::fill(work.raw.subspan(offset, size), std::byte{0});
}

void clear_attribute_block(const InodeAtWork& work) {
  clear(work, offsetof(ext2_inode, i_file_acl), 4);
  clear(work, offsetof(ext2_inode, osd2.linux2.l_i_file_acl_high), 2);
}

// The attributes tell where the extra fields end: they begin there, with a magic number.
void mend_extra_isize(const InodeAtWork& work) {
  const uint32_t room = work.round.geometry().inode_size - EXT2_GOOD_OLD_INODE_SIZE;
  const uint32_t wanted = std::min<uint32_t>(sizeof(ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE, room) & ~3u;
  uint32_t size = wanted;
  const auto begins_at = [&](uint32_t at) {
    return load<uint32_t>(work.raw, EXT2_GOOD_OLD_INODE_SIZE + at) == EXT2_EXT_ATTR_MAGIC;
  };
  if (wanted + sizeof(uint32_t) > room || !begins_at(wanted))
    for (uint32_t at = 4; at + sizeof(uint32_t) <= room && size == wanted; at += 4)
      if (begins_at(at)) size = at;
  store(work.raw, offsetof(ext2_inode_large, i_extra_isize), static_cast<uint16_t>(size));
}

// A directory is as long as its blocks, a file at least; one that is longer than its map can reach ends with its blocks,
// or with its data in the inode.
bool mend_size(const InodeAtWork& work) {
  const Inode inode = work.inode();
  if (inode.is(EXT4_INLINE_DATA_FL)) {
    EaFacts facts;
    check_inode_attributes(work.round.fs(), inode, facts);
    const uint64_t size = inline_data_size(inode, &facts);
    if (size > 0) work.set_size(size);
    return size > 0;
  }
  if (!inode.has_block_map()) return false;
  RunList list;
  MapWalker walker(work.round.fs());
  work.set_size(static_cast<uint64_t>(walker.walk(inode, list).last_logical + 1) << work.round.geometry().block_bits);
  return true;
}

void mend_mode(const InodeAtWork& work, const Finding& cause) {
  const uint16_t permissions = work.inode().base().i_mode & 07777;
  if (holds_directory(work)) {
    work.set_mode(S_IFDIR | permissions);
    return;
  }
  work.set_mode(S_IFREG | permissions);
  work.round.lose(cause, "its type: kept as a regular file");
}

// Its entries are there; what else is wrong with it the next audit tells. Who may read it is lost with a mode that is all
// zero: its owner may say so again.
void mend_lost_directory(const InodeAtWork& work) {
  constexpr uint16_t kOwnerOnly = 0700;
  const ext2_inode base = work.inode().base();
  work.set_mode(S_IFDIR | (base.i_mode == 0 ? kOwnerOnly : base.i_mode & 07777));
  if (base.i_links_count > 0) return;
  store(work.raw, offsetof(ext2_inode, i_links_count), uint16_t{2});
  clear(work, offsetof(ext2_inode, i_dtime), 4);
}

// Only what the inode must not have goes; the list of bad blocks stays.
void mend_bad_blocks_inode(const InodeAtWork& work) {
  work.set_mode(0);
  clear(work, offsetof(ext2_inode, i_uid), 2);
  clear(work, offsetof(ext2_inode, i_gid), 2);
  clear(work, offsetof(ext2_inode, i_links_count), 2);
  clear_attribute_block(work);
  work.set_flags(work.inode().base().i_flags & ~uint32_t{EXT4_INLINE_DATA_FL});
}

void mend_reserved(const InodeAtWork& work, const Finding& cause) {
  const uint32_t ino = work.ino.value;
  const bool noise = has_foreign_bytes(work.inode());
  if (ino == EXT2_RESIZE_INO && !noise) return work.set_mode(S_IFREG | 0600);
  const bool special = ino == EXT2_JOURNAL_INO || ino == EXT4_USR_QUOTA_INO || ino == EXT4_GRP_QUOTA_INO;
  if (!special || work.inode().type() != FileType::none) work.set_mode(0);
  if (!special && !noise) return;
  std::ranges::fill(work.raw, std::byte{0});  // nothing refers to what it holds
  work.round.lose(cause, "cleared");
}

// Its blocks are those of the root directory. Who may read it is lost with a mode that is all zero.
void mend_root_inode(const InodeAtWork& work) {
  constexpr uint16_t kUsual = 0755;
  const uint16_t mode = work.inode().base().i_mode;
  work.set_mode(S_IFDIR | (mode == 0 ? kUsual : mode & 07777));
  if (work.inode().base().i_links_count == 0) store(work.raw, offsetof(ext2_inode, i_links_count), uint16_t{2});
  clear(work, offsetof(ext2_inode, i_dtime), 4);
}

Result<bool> mend_root(const InodeAtWork& work, const Finding& cause) {
  const auto made = make_directory(work, work.ino);
  if (!made || !*made) return made;
  clear_attribute_block(work);
  if (work.inode().base().i_links_count == 0) store(work.raw, offsetof(ext2_inode, i_links_count), uint16_t{2});
  store(work.raw, offsetof(ext2_inode, i_dtime), uint32_t{0});
  work.round.lose(cause, "the root directory is made anew: what was in it loses its names");
  return true;
}

class InodeRepairs {
 public:
  explicit InodeRepairs(RepairRound& round) : round_(round) {}

  Result<size_t> make() {
    size_t answered = 0;
    for (const auto& [ino, findings] : round_.findings.by_inode(kOfInode)) {
      if (std::ranges::none_of(findings, [&](const Finding* f) { return is_own(*f) && round_.may(f->problem); })) continue;
      const auto n = mend(ino, findings);
      if (!n) return n;
      answered += *n;
    }
    return answered;
  }

 private:
  using InodeFindings = std::vector<Finding*>;

  // How a finding is mended. False when it has to wait for another repair.
  using Make = Result<bool>(InodeRepairs&, const InodeAtWork&, const Finding&);
  struct FieldRepair {
    Problem problem;
    int turn;  // first what says how the rest of the inode is to be read
    Make* make;
  };
  static const FieldRepair kRepairs[];
  static const FieldRepair* repair_for(const Finding& f);
  static int turn_of(const Finding* f) {
    constexpr int kLast = 3;
    const FieldRepair* repair = repair_for(*f);
    return repair ? repair->turn : kLast;
  }

  // What is no damage, and has no repair, keeps none of the others from being made.
  static bool is_remark(const Finding* f) {
    const ProblemInfo& problem = info(f->problem);
    return problem.severity != Severity::error && problem.repair == RepairClass::none;
  }

  Result<size_t> mend(InodeNo ino, const InodeFindings& all) {
    InodeFindings findings = all;
    std::erase_if(findings, is_remark);
    if (findings.empty()) return 0;
    std::ranges::stable_sort(findings, {}, turn_of);
    map_damaged_ = std::ranges::any_of(findings, [](const Finding* f) { return !is_own(*f); });
    // A directory that is read as a file has findings that no directory has.
    const bool lost_directory = findings.front()->problem == Problem::inode_misplaced_directory;
    const bool all_allowed =
        lost_directory || std::ranges::all_of(findings, [&](const Finding* f) { return round_.may(f->problem); });
    Finding* checksum = nullptr;
    for (Finding* f : findings)
      if (f->problem == Problem::inode_checksum) checksum = f;
    // Damage that has to stay keeps its bad checksum: it says that the fields cannot be trusted.
    if (checksum && !all_allowed) return 0;
    auto raw = edit_inode(round_.fs(), round_.overlay, ino);
    if (!raw) return std::unexpected(raw.error());
    const InodeAtWork work{round_, ino, *raw};

    if (round_.lossy() && is_beyond_belief(work, all)) {
      clear_inode(work);
      round_.lose(*findings.front(), "cleared: nothing in it can be believed");
      for (Finding* f : findings) f->repair = RepairState::staged;
      seal_inode(round_.geometry(), ino, *raw);
      return findings.size();
    }
    if (checksum && round_.lossy() && lies_elsewhere(ino)) {
      clear_inode(work);
      round_.lose(*checksum, "cleared: what lies here belongs to another inode");
      for (Finding* f : findings) f->repair = RepairState::staged;
      seal_inode(round_.geometry(), ino, *raw);
      return findings.size();
    }
    size_t answered = 0, left = 0;
    for (Finding* f : findings) {
      if (f == checksum) continue;
      // Which blocks the inode has is not known while its map waits for a repair.
      const bool waits = !all_allowed && (f->problem == Problem::inode_blocks || f->problem == Problem::inode_size);
      const auto done =
          !waits && repair_for(*f) && round_.may(f->problem) ? repair_for(*f)->make(*this, work, *f) : Result<bool>(false);
      if (!done) return std::unexpected(done.error());
      if (*done) f->repair = RepairState::staged, ++answered;
      left += !*done;
    }
    if (checksum && left == 0 && !lost_directory) {
      checksum->repair = RepairState::staged, ++answered;
      round_.lose(*checksum, "nothing that is known, but nothing vouches for its fields: sealed as they are");
    }
    if (answered > 0 && (!checksum || (left == 0 && !lost_directory))) seal_inode(round_.geometry(), ino, *raw);
    return answered;
  }

  // What is left of an inode that is of another kind now the next audit tells.
  template <class Mend>
  Result<bool> mend_contents(InodeNo ino, Mend&& mend) {
    if (is_reshaped(ino)) return true;
    const Result<bool> done = mend();
    if (done && *done) reshaped(ino);
    return done;
  }

  // As counted; not where the count is of what was there before.
  bool set_blocks(const InodeAtWork& work, uint64_t blocks) const {
    if (is_reshaped(work.ino)) return false;
    store(work.raw, offsetof(ext2_inode, i_blocks), static_cast<uint32_t>(blocks));
    if (round_.geometry().has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE))
      store(work.raw, offsetof(ext2_inode, osd2.linux2.l_i_blocks_hi), static_cast<uint16_t>(blocks >> 32));
    return true;
  }

  Result<bool> lengthen(const InodeAtWork& work, const Finding& f) {
    if (is_reshaped(work.ino) || !mend_size(work)) return false;
    round_.lose(f, "nothing, but it is longer now: it shows blocks that lay behind its end");
    return true;
  }

  // All entries of the list at once; a finding each.
  Result<bool> mend_list(const InodeAtWork& work) {
    if (!is_reshaped(work.ino))
      if (auto r = mend_bad_blocks_list(work); !r) return std::unexpected(r.error());
    return reshaped(work.ino);
  }

  Result<bool> seal_extents(const InodeAtWork& work, BlockNo at) const {
    if (map_damaged_) return false;  // sealed when the map is written anew
    if (auto r = seal_extent_block(work, at); !r) return std::unexpected(r.error());
    return true;
  }

  Result<bool> mend_empty_directory(const InodeAtWork& work, const Finding& f) {
    RunList list;
    MapWalker walker(round_.fs());
    if (!walker.walk(work.inode(), list).defects.empty()) return false;  // some of its blocks may be found yet
    const DirectoryTable& table = round_.run.scan->directories;
    const uint32_t at = table.find(work.ino);
    const uint32_t parent = at < table.directories.size() ? table.directories[at].parent : 0;
    const auto made = make_directory(work, InodeNo(parent && work.ino.value != EXT2_ROOT_INO ? parent : EXT2_ROOT_INO));
    if (made && *made) round_.lose(f, "all entries");
    return made;
  }

  // An inode without links that was not marked as deleted. One that a directory still has a name for, and whose blocks
  // nobody else has taken, has lost its count and nothing else.
  Result<bool> mend_deleted(const InodeAtWork& work) {
    const bool wanted = work.inode().type() != FileType::unknown && has_name(work.ino) && blocks_are_free(work);
    if (wanted)
      store(work.raw, offsetof(ext2_inode, i_links_count),
            static_cast<uint16_t>(work.inode().type() == FileType::directory ? 2 : 1));
    else
      store(work.raw, offsetof(ext2_inode, i_dtime), round_.now);
    round_.stale = round_.stale || wanted;
    return true;
  }

  // Whether an entry for an inode that looks unused names it.
  bool has_name(InodeNo ino) {
    if (!named_) {
      named_.emplace();
      std::set<BlockNo> blocks;
      for (const Problem problem : {Problem::entry_inode_unused, Problem::entry_inode_uninit})
        for (const Finding& f : round_.findings.of(problem))
          if (f.block && !round_.fs().metadata.find(*f.block)) blocks.insert(*f.block);
      std::vector<std::byte> bytes(round_.geometry().block_size);
      for (const BlockNo block : blocks) {
        if (!round_.overlay.read(block, bytes)) continue;
        EntryWalk walk(bytes, round_.geometry().block_size);
        while (const auto entry = walk.next())
          if (entry->inode && entry->name != "." && entry->name != "..") named_->insert(entry->inode);
      }
    }
    return named_->contains(ino);
  }

  bool blocks_are_free(const InodeAtWork& work) {
    const Inode inode = work.inode();
    if (!inode.has_block_map()) return true;
    RunList list;
    MapWalker walker(round_.fs());
    if (!walker.walk(inode, list).defects.empty()) return false;
    return !round_.run.scan->claims_any(round_.geometry(), list);
  }

  // Damage of many kinds at once in an inode whose checksum is wrong, or that has no type and no contents: it was never an
  // inode, and what its map points to is not its own.
  bool is_beyond_belief(const InodeAtWork& work, const InodeFindings& findings) const {
    if (work.ino.value < round_.geometry().first_inode || work.inode().base().i_links_count == 0) return false;
    std::set<Problem> kinds;
    for (const Finding* f : findings) kinds.insert(f->problem);
    const bool bad_sum = kinds.erase(Problem::inode_checksum) > 0;
    const bool no_type = kinds.erase(Problem::inode_mode) > 0;
    kinds.erase(Problem::extent_checksum);  // follows from a wrong generation
    if (holds_directory(work)) return false;
    if (bad_sum && kinds.size() + no_type >= 4) return true;
    if (no_type && !kinds.empty() && maps_nothing(work)) return true;
    return no_type && (bad_sum ? kinds.size() >= 2 : kinds.size() >= 3);
  }

  // The checksums in its block of the inode table say that all of it belongs elsewhere. Asked before the first is cleared.
  bool lies_elsewhere(InodeNo ino) {
    const BlockNo block = place_of(round_.fs(), ino).block;
    const auto known = elsewhere_.find(block);
    if (known != elsewhere_.end()) return known->second;
    std::vector<std::byte> bytes(round_.geometry().block_size);
    const auto place = find_table_block(round_.fs(), block);
    const bool found = place && round_.overlay.read(block, bytes) && find_home(round_.fs(), *place, bytes);
    elsewhere_.emplace(block, found);
    return found;
  }

  bool maps_nothing(const InodeAtWork& work) const {
    RunList list;
    MapWalker walker(round_.fs());
    return !work.inode().has_block_map() || walker.walk(work.inode(), list).data_blocks == 0;
  }

  // The inode is of another kind, or its map is read differently now: what was counted of it no longer holds.
  bool reshaped(InodeNo ino) {
    reshaped_.insert(ino);
    round_.stale = true;
    return true;
  }
  [[nodiscard]] bool is_reshaped(InodeNo ino) const { return reshaped_.contains(ino); }

  RepairRound& round_;
  std::set<InodeNo> reshaped_;
  std::map<BlockNo, bool> elsewhere_;  // by block of an inode table
  bool map_damaged_ = false;  // of the inode at work: there are findings that are mended elsewhere
  std::optional<std::set<InodeNo>> named_;
};

const InodeRepairs::FieldRepair InodeRepairs::kRepairs[] = {
    {Problem::inode_misplaced_directory, 0,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) -> Result<bool> { mend_lost_directory(work); return r.reshaped(work.ino); }},
    {Problem::inode_mode, 1,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) -> Result<bool> {
       if (!r.is_reshaped(work.ino)) mend_mode(work, f);
       return r.reshaped(work.ino);
     }},
    {Problem::root_inode, 1,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) -> Result<bool> { mend_root_inode(work); return r.reshaped(work.ino); }},
    {Problem::root_not_directory, 1,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) { return r.mend_contents(work.ino, [&] { return mend_root(work, f); }); }},
    {Problem::inode_flags, 2,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) {
       return r.mend_contents(work.ino, [&]() -> Result<bool> {
         if (auto made = mend_flags(work); !made) return std::unexpected(made.error());
         return true;
       });
     }},
    {Problem::inode_extra_isize, 2,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) -> Result<bool> { mend_extra_isize(work); return r.reshaped(work.ino); }},
    {Problem::inode_symlink, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) {
       return r.mend_contents(work.ino, [&] { return mend_symlink(work, f, r.map_damaged_); });
     }},
    {Problem::directory_without_blocks, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) {
       return r.mend_contents(work.ino, [&] { return r.mend_empty_directory(work, f); });
     }},
    {Problem::inode_blocks, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) -> Result<bool> { return r.set_blocks(work, expected_number(f.evidence).value_or(0)); }},
    {Problem::inode_size, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) -> Result<bool> { return !r.is_reshaped(work.ino) && mend_size(work); }},
    {Problem::inode_size_small, 3, [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) { return r.lengthen(work, f); }},
    {Problem::inode_special_blocks, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) -> Result<bool> {
       if (!r.is_reshaped(work.ino)) work.set_size(0);
       return true;
     }},
    {Problem::inode_dtime_set, 3,
     [](InodeRepairs&, const InodeAtWork& work, const Finding&) -> Result<bool> { clear(work, offsetof(ext2_inode, i_dtime), 4); return true; }},
    {Problem::inode_dtime_zero, 3, [](InodeRepairs& r, const InodeAtWork& work, const Finding&) { return r.mend_deleted(work); }},
    {Problem::orphan_lost, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) -> Result<bool> {
       store(work.raw, offsetof(ext2_inode, i_dtime), r.round_.now);
       return true;
     }},
    {Problem::inode_field_nonzero, 3,
     [](InodeRepairs&, const InodeAtWork& work, const Finding& f) -> Result<bool> {
       if (const ZeroField* zero = find_zero_field(f.field)) clear(work, zero->offset, zero->size);
       return true;
     }},
    {Problem::bad_blocks_list, 3, [](InodeRepairs& r, const InodeAtWork& work, const Finding&) { return r.mend_list(work); }},
    {Problem::bad_blocks_again, 3, [](InodeRepairs& r, const InodeAtWork& work, const Finding&) { return r.mend_list(work); }},
    {Problem::bad_blocks_inode, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding&) -> Result<bool> { mend_bad_blocks_inode(work); return r.reshaped(work.ino); }},
    {Problem::reserved_inode, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) -> Result<bool> { mend_reserved(work, f); return r.reshaped(work.ino); }},
    {Problem::ea_block_location, 3,
     [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) -> Result<bool> {
       clear_attribute_block(work);
       r.round_.lose(f, "attributes in a block outside the file system");
       return r.reshaped(work.ino);
     }},
    {Problem::extent_checksum, 3, [](InodeRepairs& r, const InodeAtWork& work, const Finding& f) { return r.seal_extents(work, *f.block); }},
};

const InodeRepairs::FieldRepair* InodeRepairs::repair_for(const Finding& f) {
  const auto* it = std::ranges::find(kRepairs, f.problem, &FieldRepair::problem);
  return it == std::end(kRepairs) ? nullptr : it;
}

}  // namespace

Result<size_t> repair_inodes(RepairRound& round) { return InodeRepairs(round).make(); }

Result<size_t> repair_features(RepairRound& round) {
  size_t answered = 0;
  for (Finding& f : round.findings.of(Pass::features)) {
    if (!round.may(f.problem)) continue;
    if (auto r = turn_on_features(round.overlay, 0, EXT2_FEATURE_RO_COMPAT_LARGE_FILE); !r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

void InodeAtWork::set_size(uint64_t size) const {
  store(raw, offsetof(ext2_inode, i_size), static_cast<uint32_t>(size));
  // Of a directory without large_dir the upper half is another field.
  if (inode().type() != FileType::directory || round.geometry().has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR))
    store(raw, offsetof(ext2_inode, i_size_high), static_cast<uint32_t>(size >> 32));
}

void clear_inode(const InodeAtWork& work) {
  work.set_flags(0);
  store(work.raw, offsetof(ext2_inode, i_links_count), uint16_t{0});
  store(work.raw, offsetof(ext2_inode, i_dtime), work.round.now);
  work.round.stale = true;
}

}  // namespace extscrub
