// Entries whose inode number is wrong, and what is without a name because of that: the entry names it again.
//
// Two things tell which entry it was. A directory block's checksum that is right with one other number in one entry is proof.
// Else the `..` of a directory that no way leads to says where its entry is, and an entry there that names nothing, or what
// is named elsewhere, is that one; but only when there is one of each. For a file without a name it must be the only such
// entry for that kind of file anywhere, and its number one byte away from the file's. What is not told goes to lost+found.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

#include "audit/edit/entries_of.h"
#include "audit/repair/repair.h"

namespace extscrub {

namespace {

// What has fewer names than it should.
struct Nameless {
  InodeNo inode;
  uint8_t type = 0;
  InodeNo parent;              // of a directory, by its `..`
  Finding* finding = nullptr;  // null: it has some names
};

struct WrongEntry {
  InodeNo directory;
  EntryAt at;
  InodeNo target;
  uint8_t type = 0;
  std::string name;
};

bool is_about_target(const Finding& f) { return info(f.problem).scope == Scope::entry; }

bool differs_in_one_byte(InodeNo a, InodeNo b) {
  const uint32_t bits = a.value ^ b.value;
  return bits != 0 && std::countl_zero(bits) / 8 == 3 - std::countr_zero(bits) / 8;
}

class EntryRepair {
 public:
  explicit EntryRepair(RepairRound& round)
      : round_(round), g_(round.geometry()), table_(round.run.scan->directories),
        typed_(g_.has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE)) {}

  Result<size_t> run() {
    collect();
    if (nameless_.empty()) return 0;
    size_t answered = 0;
    for (const auto step : {&EntryRepair::by_checksum, &EntryRepair::by_dotdot, &EntryRepair::by_number}) {
      const auto n = (this->*step)();
      if (!n) return n;
      answered += *n;
    }
    return answered;
  }

 private:
  void collect() {
    for (Finding& f : round_.findings.of(Pass::entries)) {
      if (f.inode && is_about_target(f)) about_target_[*f.inode].push_back(&f);
      if (!f.inode || !round_.may(f.problem)) continue;
      if (f.problem == Problem::inode_unattached)
        nameless_.push_back({*f.inode, round_.run.scan->links.type(*f.inode), InodeNo(), &f});
      const Directory* d = f.problem == Problem::directory_unconnected ? find(*f.inode) : nullptr;
      if (d && d->parent == 0) nameless_.push_back({d->inode, EXT2_FT_DIR, InodeNo(d->dotdot), &f});
    }
    for (const LinkFacts& l : round_.run.directories.links)
      if (l.found > 0 && l.found < l.links)
        nameless_.push_back({l.inode, round_.run.scan->links.type(l.inode), InodeNo(), nullptr});
  }

  [[nodiscard]] const Directory* find(InodeNo ino) const {
    const uint32_t index = table_.find(ino);
    return index < table_.directories.size() ? &table_.directories[index] : nullptr;
  }

  // The entry may be one of that kind. One that is not in use may still say what it was.
  [[nodiscard]] bool fits(uint8_t type, const Nameless& n) const { return !typed_ || type == n.type || type == EXT2_FT_UNKNOWN; }

  Result<size_t> by_checksum() {
    size_t answered = 0;
    if (!g_.metadata_csum()) return answered;
    for (Finding& f : round_.findings.of(Problem::directory_checksum)) {
      if (!f.block || f.repair != RepairState::none) continue;
      const Directory* d = find(*f.inode);
      if (!d || d->is(Directory::in_inode)) continue;
      const auto proven = prove(*d, *f.block, f.logical.value_or(0));
      if (!proven) continue;
      const auto n = give(proven->first, *proven->second);
      if (!n) return n;
      if (*n > 0) f.repair = RepairState::staged;
      answered += *n;
    }
    return answered;
  }

  // The only entry of the block, and the only inode, with which the checksum is right.
  std::optional<std::pair<WrongEntry, Nameless*>> prove(const Directory& d, BlockNo at, uint64_t logical) {
    std::vector<std::byte> block(g_.block_size);
    if (!round_.overlay.read(at, block)) return {};
    const auto tail = leaf_tail(block);
    if (!tail) return {};
    const uint32_t seed = inode_seed(g_, d.inode, d.generation);
    std::vector<WrongEntry> entries;
    EntryWalk walk(Bytes(block).first(block.size() - kDirTail), g_.block_size);
    for (unsigned position = logical == 0 ? 0 : 2; const auto e = walk.next(); ++position)
      if (position >= 2 && !e->name.empty())
        entries.push_back({d.inode, {at, logical, e->offset}, e->inode, e->type, std::string(e->name)});
    if (walk.broken()) return {};
    std::optional<std::pair<WrongEntry, Nameless*>> proven;
    for (const WrongEntry& e : entries) {
      for (Nameless& n : nameless_) {
        if (!fits(e.type, n) || n.inode == e.target || (n.type == EXT2_FT_DIR && n.parent != d.inode)) continue;
        if (bytes_tried_ += block.size(); bytes_tried_ > kMostTried) return {};
        store(MutableBytes(block), e.at.offset, n.inode.value);
        if (leaf_checksum(seed, block) != *tail) continue;
        if (proven) return {};
        proven.emplace(e, &n);
      }
      store(MutableBytes(block), e.at.offset, e.target.value);
    }
    return proven;
  }

  Result<size_t> by_dotdot() {
    std::map<InodeNo, std::vector<Nameless*>> by_parent;
    for (Nameless& n : nameless_)
      if (n.type == EXT2_FT_DIR && n.finding && n.finding->repair == RepairState::none) by_parent[n.parent].push_back(&n);
    size_t answered = 0;
    if (by_parent.size() > kMostParents) return answered;
    for (const auto& [parent, children] : by_parent) {
      const Directory* d = find(parent);
      if (!d || children.size() > 1 || d->is(Directory::incomplete)) continue;
      const auto wrong = wrong_entries(*d);
      if (wrong.size() != 1) continue;
      const auto n = give(wrong.front(), *children.front());
      if (!n) return n;
      answered += *n;
      if (*n == 0) round_.awaited.insert(children.front()->inode);
    }
    return answered;
  }

  // Entries of the directory that may have been a directory's: for what cannot be, what another directory has an entry for,
  // a file that has enough names without it; or not in use though it is not the first of its block, where a removed one stays.
  // The first two.
  std::vector<WrongEntry> wrong_entries(const Directory& d) {
    std::vector<WrongEntry> wrong;
    const bool all = for_each_entry_of(round_, d, [&](const EntryAt& at, const DirEntry& e) {
      if (wrong.size() > 1 || e.name.empty() || (typed_ && e.type != EXT2_FT_DIR && e.type != EXT2_FT_UNKNOWN)) return;
      const bool cleared = !e.inode && at.offset > 0 && typed_ && e.type == EXT2_FT_DIR && !d.is(Directory::in_inode);
      if (cleared || (e.inode && is_wrong(d, at, e))) wrong.push_back({d.inode, at, e.inode, e.type, std::string(e.name)});
    });
    if (!all) wrong.clear();
    return wrong;
  }

  [[nodiscard]] bool is_wrong(const Directory& d, const EntryAt& at, const DirEntry& e) const {
    const auto findings = about_target_.find(d.inode);
    if (findings != about_target_.end() &&
        std::ranges::any_of(findings->second, [&](const Finding* f) { return is_for(*f, d.inode, at, e.inode); }))
      return true;
    const auto& extra = round_.run.directories.extra_links;
    if (std::ranges::binary_search(extra, DirectoryLink{e.inode, d.inode})) {
      const Directory* child = find(e.inode);
      return child && child->parent != d.inode.value;
    }
    if (!typed_ || e.type != EXT2_FT_DIR || find(e.inode)) return false;
    const auto& links = round_.run.directories.links;
    const auto l = std::ranges::lower_bound(links, e.inode, {}, &LinkFacts::inode);
    return l != links.end() && l->inode == e.inode && l->found > l->links;
  }

  [[nodiscard]] static bool is_for(const Finding& f, InodeNo directory, const EntryAt& at, InodeNo target) {
    return f.inode == directory && f.entry && f.entry->offset == at.offset && f.entry->target == target &&
           (!at.block || f.logical == at.logical);
  }

  Result<size_t> by_number() {
    const auto waits = [](const Finding& f) { return is_about_target(f) && f.repair == RepairState::none; };
    std::map<uint8_t, std::vector<Nameless*>> files;
    for (Nameless& n : nameless_)
      if (n.type != EXT2_FT_DIR && n.finding && n.finding->repair == RepairState::none)
        files[typed_ ? n.type : EXT2_FT_UNKNOWN].push_back(&n);
    const auto own = round_.findings.of(Pass::entries);
    const auto waiting = std::ranges::count_if(own, waits);
    if (files.empty() || waiting == 0 || waiting > kMostWaiting || names_are_missing()) return 0;
    std::map<InodeNo, std::vector<const Finding*>> by_directory;
    for (const Finding& f : own)
      if (waits(f)) by_directory[*f.inode].push_back(&f);
    std::map<uint8_t, std::vector<WrongEntry>> entries;
    for (const auto& [ino, findings] : by_directory) {
      const Directory* d = find(ino);
      if (!d || !for_each_entry_of(round_, *d, [&](const EntryAt& at, const DirEntry& e) {
            if (std::ranges::any_of(findings, [&](const Finding* f) { return is_for(*f, ino, at, e.inode); }))
              entries[typed_ ? e.type : EXT2_FT_UNKNOWN].push_back({ino, at, e.inode, e.type, std::string(e.name)});
          }))
        return 0;
    }
    size_t answered = 0;
    for (const auto& [type, candidates] : files) {
      const auto& wrong = entries[type];
      if (candidates.size() != 1 || wrong.size() != 1 || wrong.front().name.empty()) continue;
      if (!differs_in_one_byte(wrong.front().target, candidates.front()->inode)) continue;
      const auto n = give(wrong.front(), *candidates.front());
      if (!n) return n;
      answered += *n;
      if (*n == 0) round_.awaited.insert(candidates.front()->inode);
    }
    return answered;
  }

  // A directory that was not seen in whole may hold the name.
  [[nodiscard]] bool names_are_missing() const {
    return !round_.run.scan->failures.empty() ||
           std::ranges::any_of(table_.directories, [](const Directory& d) { return d.is(Directory::incomplete); });
  }

  // Returns how many findings that answers; none when it must not be stored.
  Result<size_t> give(const WrongEntry& e, Nameless& n) {
    const auto set = set_target(round_, *find(e.directory), e.at, n.inode);
    if (!set) return std::unexpected(set.error());
    if (!*set) return 0;
    size_t answered = 0;
    for (Finding& f : round_.findings.of(Pass::entries))
      if (is_about_target(f) && is_for(f, e.directory, e.at, e.target)) f.repair = RepairState::staged, ++answered;
    if (n.finding) {
      n.finding->repair = RepairState::staged;
      ++answered;
      round_.lose(*n.finding,
                  fmt::format("named '{}' in directory {} again, where the entry named inode {}", e.name, e.directory, e.target));
    } else {
      ++answered;
    }
    round_.stale = true;
    return answered;
  }

  // Of directory blocks whose checksum is computed: an image can have any number of wrong ones.
  static constexpr uint64_t kMostTried = uint64_t{256} << 20;
  // Directories that miss some in them, and entries that may be a file's: with more, the damage is not of single entries.
  static constexpr size_t kMostParents = 1000;
  static constexpr std::ptrdiff_t kMostWaiting = 1000;

  RepairRound& round_;
  const Geometry& g_;
  const DirectoryTable& table_;
  bool typed_;
  std::vector<Nameless> nameless_;
  std::map<InodeNo, std::vector<const Finding*>> about_target_;  // by directory
  uint64_t bytes_tried_ = 0;
};

}  // namespace

Result<size_t> repair_entries(RepairRound& round) { return EntryRepair(round).run(); }

}  // namespace extscrub
