// Directories one by one: all findings about a directory are answered in one walk over its names.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "audit/edit/directory_editor.h"
#include "audit/edit/inode_allocator.h"
#include "audit/repair/repair.h"
#include "audit/stage/free_name.h"

namespace extscrub {

namespace {

enum class Cure : uint8_t {
  none,
  clear,     // the entry goes
  characters,
  rename,
  lengthen,  // the name is there, its length is not
  type,
  uninit,    // the inode may be in use all the same
  rewrite,   // the block is written again, with `.`, `..` and the checksum
  lay_out,   // the directory is laid out anew
  size,      // of an inline directory
};

Cure cure_for(Problem p) {
  switch (p) {
    case Problem::directory_dot_again:
    case Problem::entry_to_itself:
    case Problem::entry_to_root:
    case Problem::entry_name_short:
    case Problem::entry_inode_invalid:
    case Problem::entry_inode_bad_block:
    case Problem::entry_inode_unused:
    case Problem::entry_value_inode:
    case Problem::entry_unencrypted:
    case Problem::entry_policy: return Cure::clear;
    case Problem::entry_inode_uninit: return Cure::uninit;
    case Problem::entry_name_invalid: return Cure::characters;
    case Problem::entry_duplicate: return Cure::rename;
    case Problem::entry_name_empty: return Cure::lengthen;
    case Problem::entry_type:
    case Problem::entry_type_unset: return Cure::type;
    case Problem::directory_record:
    case Problem::directory_dot:
    case Problem::directory_dotdot_missing:
    case Problem::directory_checksum:
    case Problem::directory_tail_missing: return Cure::rewrite;
    case Problem::directory_hole:
    case Problem::htree_root:
    case Problem::htree_node:
    case Problem::htree_checksum:
    case Problem::htree_range:
    case Problem::htree_depth:
    case Problem::htree_referenced_again:
    case Problem::htree_unreferenced: return Cure::lay_out;
    case Problem::directory_inline_size: return Cure::size;
    default: return Cure::none;
  }
}

class DirectoryRepair {
 public:
  DirectoryRepair(RepairRound& round, DirectoryEditor& editor) : round_(round), editor_(editor), hasher_(round.fs().super) {}

  // Returns how many findings were answered.
  Result<size_t> run(const std::vector<Finding*>& findings) {
    for (Finding* f : findings)
      if (round_.may(f->problem))
        if (auto r = answer(*f); !r) return std::unexpected(r.error());
    if (answered_.empty()) return 0;
    auto stored = editor_.store();
    if (!stored) return std::unexpected(stored.error());
    if (!*stored) return 0;
    for (Finding* f : answered_) f->repair = RepairState::staged;
    for (auto& [finding, what] : losses_) round_.lose(*finding, std::move(what));
    round_.stale = round_.stale || stale_;
    return answered_.size();
  }

 private:
  Result<void> answer(Finding& f) {
    switch (cure_for(f.problem)) {
      case Cure::none: return {};
      case Cure::rewrite: rewrite(f); break;
      case Cure::lay_out:
        editor_.lay_out();
        stale_ = true;
        break;
      case Cure::size:
        editor_.mend_inline();
        stale_ = true;
        break;
      default: return answer_entry(f);
    }
    answered_.push_back(&f);
    return {};
  }

  void rewrite(const Finding& f) {
    editor_.changed(f.logical.value_or(0));
    stale_ = stale_ || (f.problem != Problem::directory_checksum && f.problem != Problem::directory_tail_missing);
    if (f.problem == Problem::directory_record)
      losses_.emplace_back(&f,
                           fmt::format("names behind the malformed entry cleared, where they could not be read; {} were saved",
                                       editor_.salvaged()));
  }

  Result<void> answer_entry(Finding& f) {
    const EntryPlace place = f.entry.value_or(EntryPlace());
    DirName* name = editor_.find(f.logical.value_or(0), place.offset, place.target);
    // `.` and `..` are no names here; they are written with their block.
    if (!name) {
      if (cure_for(f.problem) == Cure::type) rewrite(f), answered_.push_back(&f);
      return {};
    }
    if (!name->inode) return answered_.push_back(&f), Result<void>{};  // cleared because of something else
    switch (cure_for(f.problem)) {
      case Cure::uninit: {
        auto shown = show_inode(round_, name->inode);
        if (!shown) return std::unexpected(shown.error());
        if (!*shown) clear(f, *name);
        stale_ = true;
        break;
      }
      case Cure::clear: clear(f, *name); break;
      case Cure::characters: replace_characters(f, *name); break;
      case Cure::rename: rename(f, *name); break;
      case Cure::lengthen: lengthen(f, *name, place); break;
      case Cure::type: retype(*name); break;
      default: return {};
    }
    answered_.push_back(&f);
    return {};
  }

  void clear(const Finding& f, DirName& name) {
    losses_.emplace_back(&f, fmt::format("entry '{}' for inode {} cleared", name.name, name.inode));
    editor_.changed(name);
    name.inode = InodeNo();
    stale_ = true;
  }

  void replace_characters(const Finding& f, DirName& name) {
    const std::string before = name.name;
    for (char& c : name.name)
      if (c == '/' || c == '\0') c = '.';
    if (editor_.folded())
      while (const auto at = hasher_.malformed_at(name.name)) {
        if (name.name[*at] == '.') break;
        name.name[*at] = '.';
      }
    renamed(f, name, before);
  }

  void lengthen(const Finding& f, DirName& name, const EntryPlace& place) {
    const std::string hidden = f.block && !editor_.encrypted() ? hidden_name(*f.inode, *f.block, place.offset) : std::string();
    if (hidden.empty()) return clear(f, name);
    name.name = hidden;
    renamed(f, name, "");
  }

  // The name whose length is zero: as long as makes the block's checksum right, or else as its first bytes are text.
  std::string hidden_name(InodeNo ino, BlockNo at, uint32_t offset) const {
    const Geometry& g = round_.geometry();
    const DirectoryTable& table = round_.run.scan->directories;
    const Directory& d = table.directories[table.find(ino)];
    std::vector<std::byte> block(g.block_size);
    if (d.is(Directory::in_inode) || !round_.fs().blocks->read(at, block)) return {};
    EntryWalk walk(block, g.block_size, offset);
    const auto e = walk.next();
    if (!e || e->rec_len <= kEntryHeader) return {};
    const std::string_view room(reinterpret_cast<const char*>(block.data()) + offset + kEntryHeader,
                                std::min<size_t>(e->rec_len - kEntryHeader, EXT2_NAME_LEN));
    size_t length = 0;
    while (length < room.size() && static_cast<unsigned char>(room[length]) >= ' ' && room[length] != '/') ++length;
    const auto tail = g.metadata_csum() ? leaf_tail(block) : std::nullopt;
    const uint32_t seed = tail ? inode_seed(g, ino, d.generation) : 0;
    for (size_t proven = 1; tail && proven <= room.size(); ++proven) {
      store(MutableBytes(block), offset + 6, static_cast<uint8_t>(proven));
      if (leaf_checksum(seed, block) == *tail) length = proven;
    }
    return std::string(room.substr(0, length));
  }

  void rename(const Finding& f, DirName& name) {
    // An encrypted name cannot be changed; and two names for one file that are the same are one too many.
    if (!free_names_) read_names();
    auto& doubles = links_.at({name.name, name.inode});
    if (editor_.encrypted() || doubles > 1) {
      --doubles;
      return clear(f, name);
    }
    const std::string before = name.name;
    --doubles;
    name.name = free_names_->choose(before);
    renamed(f, name, before);
  }

  void renamed(const Finding& f, DirName& name, const std::string& before) {
    losses_.emplace_back(&f, fmt::format("entry '{}' renamed to '{}'", before, name.name));
    editor_.changed(name, true);
    stale_ = true;
  }

  void read_names() {
    free_names_.emplace(hasher_, editor_.folded());
    editor_.for_each([&](const DirName& n) {
      (void)free_names_->take(n.name);
      ++links_[{n.name, n.inode}];
    });
  }

  void retype(DirName& name) {
    const bool typed = round_.geometry().has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE);
    name.type = typed ? round_.run.scan->links.type(name.inode) : uint8_t{0};
    editor_.changed(name);
  }

  RepairRound& round_;
  DirectoryEditor& editor_;
  DirHasher hasher_;
  std::optional<FreeNames> free_names_;
  std::map<std::pair<std::string, InodeNo>, size_t> links_;  // entries by name and inode, once there are duplicates
  std::vector<Finding*> answered_;
  std::vector<std::pair<const Finding*, std::string>> losses_;
  bool stale_ = false;
};

// Whether anything is to be done, and may be done: what stays damaged must not be buried by what is written.
bool is_to_be_mended(const RepairRound& round, const std::vector<Finding*>& findings) {
  const auto may = [&](const Finding* f) { return round.may(f->problem); };
  if (std::ranges::none_of(findings, may)) return false;
  if (std::ranges::all_of(findings, may)) return true;
  // Names behind a malformed record would be gone, and a wrong checksum, which says that more is wrong, be made right.
  return std::ranges::none_of(findings, [](const Finding* f) {
    return f->problem == Problem::directory_record || f->problem == Problem::directory_checksum;
  });
}

}  // namespace

Result<size_t> repair_directories(RepairRound& round) {
  size_t answered = 0;
  const DirectoryTable& table = round.run.scan->directories;
  for (const auto& [ino, findings] : round.findings.by_inode(Pass::directories)) {
    if (table.find(ino) == table.directories.size() || !is_to_be_mended(round, findings)) continue;
    auto editor = DirectoryEditor::open(round, ino);
    if (!editor) return std::unexpected(editor.error());
    auto n = DirectoryRepair(round, *editor).run(findings);
    if (!n) return n;
    answered += *n;
  }
  return answered;
}

}  // namespace extscrub
