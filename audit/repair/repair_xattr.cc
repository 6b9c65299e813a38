// Extended attributes. Those in an inode or in a block are taken apart, the ones that cannot be believed are left out, and
// the rest is packed again; a block without any left is taken from its inodes. i_blocks and the counts of what the
// attributes referred to follow from the next audit.
#include <algorithm>
#include <map>

#include "audit/edit/ea_inode_repair.h"
#include "audit/edit/inode_edit.h"
#include "audit/edit/shared_evidence.h"
#include "audit/repair/repair.h"
#include "audit/stage/attribute_list.h"

namespace extscrub {

namespace {

// One place: the inode's own space, or a block.
struct Place {
  BlockNo block;  // 0: in the inode
  InodeNo inode;  // 0 for a block
  auto operator<=>(const Place&) const = default;
};

struct Damage {
  std::vector<Finding*> findings;
  Finding cause;  // of losses
};

// Not of the inodes that hold values, and not of usage that a quota file has.
bool is_of_attributes(const Finding& f) {
  return info(f.problem).scope == Scope::attributes && (f.problem != Problem::inline_symlink_uncounted || f.block);
}

class AttributeRepair {
 public:
  explicit AttributeRepair(RepairRound& round) : round_(round) {}

  Result<size_t> run() {
    auto condemned = repair_value_inodes(round_);
    if (!condemned) return std::unexpected(condemned.error());
    condemned_ = std::move(condemned->values);
    answered_ = condemned->answered;
    collect(*condemned);
    for (auto& [place, damage] : places_) {
      auto r = place.block ? repair_block(place.block, damage) : repair_inode(place.inode, damage);
      if (!r) return std::unexpected(r.error());
      if (!*r) continue;
      for (Finding* f : damage.findings) {
        f->repair = RepairState::staged;
        ++answered_;
      }
    }
    return answered_;
  }

 private:
  void collect(const CondemnedValues& condemned) {
    for (Finding& f : round_.findings.of(Pass::attributes)) {
      if (!is_of_attributes(f) || !round_.may(f.problem) || !f.inode) continue;
      add(f.block ? Place{*f.block, InodeNo()} : Place{BlockNo(), *f.inode}, f).findings.push_back(&f);
    }
    for (const auto& [value, cause] : condemned.causes)
      for (const EaValueReference& r :
           std::ranges::equal_range(round_.run.scan->ea_values, value, {}, &EaValueReference::value)) {
        Finding named = cause;
        named.inode = r.owner;
        named.path.clear();
        add(r.block ? Place{r.block, InodeNo()} : Place{BlockNo(), r.owner}, named);
      }
  }

  Damage& add(Place place, const Finding& cause) {
    const auto [it, fresh] = places_.try_emplace(place);
    if (fresh) it->second.cause = cause;
    return it->second;
  }

  void lose(const Finding& cause, InodeNo inode, const BelievedAttributes& attributes, bool with_path) {
    Finding f = cause;
    if (!with_path) f.path.clear();
    f.inode = inode;
    for (const std::string& name : attributes.dropped) round_.lose(f, "extended attribute " + name + " removed");
    if (attributes.cut) round_.lose(f, "extended attributes behind a broken entry removed, whose names are not known");
  }

  // Attributes whose values lie in inodes that lack nothing but their flag become readable before they are judged.
  Result<void> restore_values(const EaFacts& facts) {
    if (!round_.lossy()) return {};
    for (const EaEntry& e : facts.entries)
      if (e.value_inode && !condemned_.contains(e.value_inode))
        if (auto r = restore_value_flag(round_, e); !r) return r;
    return {};
  }

  Result<bool> repair_inode(InodeNo ino, const Damage& damage) {
    const Geometry& g = round_.geometry();
    std::vector<std::byte> raw(g.inode_size);
    if (auto r = read_inode(round_.fs(), ino, raw); !r) return false;
    const Inode inode(g, ino, raw);
    if (!has_inode_attributes(g, inode)) return true;  // another repair has dealt with it
    EaFacts facts;
    check_inode_attributes(round_.fs(), inode, facts);
    if (auto r = restore_values(facts); !r) return std::unexpected(r.error());
    check_inode_attributes(round_.fs(), inode, facts);
    const bool vouched = is_vouched_for(g, ino, raw);
    BelievedAttributes attributes = believed_attributes(facts, condemned_, vouched);
    auto r = change_inode(round_, ino, [&](MutableBytes bytes) {
      const size_t magic = EXT2_GOOD_OLD_INODE_SIZE + load<uint16_t>(bytes, offsetof(ext2_inode_large, i_extra_isize));
      const MutableBytes space = bytes.subspan(magic + sizeof(uint32_t));
      drop_behind(attributes, pack_attributes(space, 0, 0, attributes.kept));
      if (attributes.kept.empty()) store(bytes, magic, uint32_t{0});
    });
    if (!r) return std::unexpected(r.error());
    lose(damage.cause, ino, attributes, true);
    round_.stale = round_.stale || attributes.cut || !attributes.dropped.empty() || !facts.values.empty();
    return true;
  }

  static void drop_behind(BelievedAttributes& attributes, size_t fit) {
    for (size_t i = fit; i < attributes.kept.size(); ++i) attributes.dropped.push_back(attributes.kept[i].full_name());
    attributes.kept.resize(fit);
  }

  Result<bool> repair_block(BlockNo at, const Damage& damage) {
    const FileSystem& fs = round_.fs();
    const Geometry& g = fs.geometry;
    const auto owners = std::ranges::equal_range(round_.run.scan->ea_references, at, {}, &EaReference::block);
    if (owners.empty()) return false;
    const InodeNo owner = owners.front().inode;
    std::vector<std::byte> block(g.block_size), raw(g.inode_size);
    if (!fs.blocks->read(at, block) || !read_inode(fs, owner, raw)) return false;
    auto header = load<ext2_ext_attr_header>(block);
    const bool header_ok = header.h_magic == EXT2_EXT_ATTR_MAGIC && header.h_blocks == 1;
    const bool vouched = g.metadata_csum() && header_ok && ea_block_checksum(g, at, block) == header.h_checksum;

    EaFacts facts;
    const auto check = [&] { check_block_attributes(fs, Inode(g, owner, raw), at, block, facts); };
    check();
    if (auto r = restore_values(facts); !r) return std::unexpected(r.error());
    check();
    BelievedAttributes attributes = believed_attributes(facts, condemned_, vouched);
    const auto twice = sort_attributes(attributes.kept);
    attributes.dropped.insert(attributes.dropped.end(), twice.begin(), twice.end());
    if (!round_.lossy() && (!header_ok || attributes.cut || !attributes.dropped.empty())) return false;
    if (attributes.kept.empty()) return drop_block(owners, damage.cause, attributes, header_ok);
    if (header_ok && header.h_refcount < owners.size() && (holds_secrets(attributes) || holds_grants(attributes))) {
      const auto intruders = find_intruders(owners, header.h_refcount, holds_secrets(attributes));
      if (!intruders.empty() && !round_.lossy()) return false;
      if (!intruders.empty()) return let_go(intruders, damage.cause);
    }
    if (is_shared(round_, at)) return false;  // first whoever else uses it gets a block of its own

    auto staged = round_.overlay.edit(at);
    if (!staged) return std::unexpected(staged.error());
    // A list in order is left as it lies.
    if (!header_ok || !facts.defects.empty() || !attributes.dropped.empty())
      drop_behind(attributes, pack_attributes(*staged, sizeof header, 0, attributes.kept));
    // Zero keeps the block from being shared.
    const bool hashed = header.h_hash != 0 || !header_ok;
    header.h_magic = EXT2_EXT_ATTR_MAGIC;
    header.h_blocks = 1;
    if (round_.lossy() || all_was_seen(round_) || header.h_refcount < owners.size())
      header.h_refcount = static_cast<uint32_t>(owners.size());
    if (hashed) header.h_hash = block_hash(attributes.kept);
    if (!header_ok) std::ranges::fill(header.h_reserved, 0);
    store(*staged, 0, header);
    if (g.metadata_csum()) store(*staged, offsetof(ext2_ext_attr_header, h_checksum), ea_block_checksum(g, at, *staged));
    for (const EaReference& r : owners) lose(damage.cause, r.inode, attributes, r.inode == damage.cause.inode);
    round_.stale = round_.stale || attributes.cut || !attributes.dropped.empty() || !facts.values.empty();
    return true;
  }

  // Attributes of other kinds are there for all who see the file.
  static bool holds_secrets(const BelievedAttributes& attributes) {
    return std::ranges::any_of(attributes.kept, [](const Attribute& a) {
      return a.full_name().starts_with("user.") || a.full_name().starts_with("trusted.");
    });
  }

  // What lets its file do more, or others do more with it.
  static bool holds_grants(const BelievedAttributes& attributes) {
    return std::ranges::any_of(attributes.kept, [](const Attribute& a) {
      return a.full_name() == "security.capability" || a.full_name().starts_with("system.posix_acl");
    });
  }

  // More inodes name the block than it counts. Those that something speaks against, if they are just as many; else all whose
  // readers must not see what others have there.
  template <class Owners>
  std::set<InodeNo> find_intruders(const Owners& owners, uint32_t counted, bool secret) {
    SharedEvidence evidence(round_);
    std::set<InodeNo> suspects, strangers;
    for (const EaReference& a : owners) {
      if (evidence.is_suspect(a.inode)) suspects.insert(a.inode);
      if (secret && std::ranges::any_of(owners, [&](const EaReference& b) { return !evidence.may_see_all_of(a.inode, b.inode); }))
        strangers.insert(a.inode);
    }
    const bool told = suspects.size() + counted == owners.size();
    return told && (!secret || !strangers.empty()) ? suspects : strangers;
  }

  Result<bool> let_go(const std::set<InodeNo>& intruders, const Finding& cause) {
    for (const InodeNo ino : intruders) {
      if (auto r = clear_reference(ino); !r) return std::unexpected(r.error());
      Finding f = cause;
      if (cause.inode != ino) f.path.clear();
      f.inode = ino;
      round_.lose(
          f, "block of extended attributes let go: it may be another inode's, and is not for everyone who may read this file");
    }
    round_.stale = true;
    return true;
  }

  Result<void> clear_reference(InodeNo ino) {
    return change_inode_base(round_, ino, [&](ext2_inode& base) {
      base.i_file_acl = 0;
      if (round_.fs().super.s_creator_os == EXT2_OS_LINUX) base.osd2.linux2.l_i_file_acl_high = 0;
    });
  }

  static uint32_t block_hash(const std::vector<Attribute>& attributes) {
    std::vector<EaEntry> entries(attributes.size());
    std::ranges::transform(attributes, entries.begin(), [](const Attribute& a) {
      EaEntry e;
      e.hash = a.hash;
      return e;
    });
    return ea_block_hash(entries);
  }

  template <class Owners>
  Result<bool> drop_block(const Owners& owners, const Finding& cause, const BelievedAttributes& attributes, bool header_ok) {
    if (!round_.lossy()) return false;
    for (const EaReference& reference : owners) {
      if (auto r = clear_reference(reference.inode); !r) return std::unexpected(r.error());
      const bool with_path = reference.inode == cause.inode;
      if (header_ok) lose(cause, reference.inode, attributes, with_path);
      Finding f = cause;
      if (!with_path) f.path.clear();
      f.inode = reference.inode;
      if (!header_ok || attributes.dropped.empty()) round_.lose(f, "block of extended attributes cleared");
    }
    round_.stale = true;
    return true;
  }

  RepairRound& round_;
  std::set<InodeNo> condemned_;
  std::map<Place, Damage> places_;
  size_t answered_ = 0;
};

}  // namespace

Result<size_t> repair_attributes(RepairRound& round) { return AttributeRepair(round).run(); }

}  // namespace extscrub
