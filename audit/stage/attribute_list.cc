#include "audit/stage/attribute_list.h"

#include <algorithm>

namespace extscrub {

namespace {

constexpr size_t padded(size_t size) { return (size + EXT2_EXT_ATTR_ROUND) & ~size_t{EXT2_EXT_ATTR_ROUND}; }

constexpr uint8_t kLastIndex = 10;  // the highest e_name_index there is

// Entries of ACLs have an index for a name.
bool is_whole_name(uint8_t index) { return index == 2 || index == 3 || index == 8; }

// For an entry without a hash in a list that is broken.
bool could_be_a_name(const EaEntry& e) {
  if (e.name_index == 0 || e.name_index > kLastIndex || e.name.empty() != is_whole_name(e.name_index)) return false;
  return std::ranges::none_of(e.name, [](std::byte b) { return b == std::byte{0}; });
}

Attribute take(const EaEntry& e) {
  Attribute a{e.name_index, {e.name.begin(), e.name.end()}, {}, e.value_size, e.value_inode, e.hash};
  // The padding belongs to what the hash is over; the check has seen that it lies in the space.
  if (!e.value_inode && e.value_size > 0) a.value.assign(e.value.data(), e.value.data() + padded(e.value_size));
  return a;
}

}  // namespace

BelievedAttributes believed_attributes(const EaFacts& facts, const std::set<InodeNo>& condemned, bool vouched) {
  BelievedAttributes result;
  std::vector<bool> bad(facts.entries.size()), rehash(facts.entries.size()), overlaps(facts.entries.size());
  for (const EaDefect& d : facts.defects) {
    if (!d.entry) {
      result.cut = true;
      continue;
    }
    const EaEntry& e = facts.entries[*d.entry];
    switch (d.kind) {
      case EaDefectKind::order: break;
      case EaDefectKind::hash: (vouched && !e.value_inode ? rehash : bad)[*d.entry] = true; break;
      case EaDefectKind::overlap: overlaps[*d.entry] = true; break;
      default: bad[*d.entry] = true;
    }
  }
  for (size_t i = 0; i < facts.entries.size(); ++i) {
    const EaEntry& e = facts.entries[i];
    const bool unlikely = result.cut && e.hash == 0 && !could_be_a_name(e);
    // With the right hash a value is whole wherever it lies, and gets a place of its own.
    const bool mixed_up = overlaps[i] && (e.hash == 0 || rehash[i]);
    if (bad[i] || mixed_up || unlikely || (e.value_inode && condemned.contains(e.value_inode))) {
      result.dropped.push_back(attribute_name(e.name_index, e.name));
      continue;
    }
    Attribute& a = result.kept.emplace_back(take(e));
    if (rehash[i]) a.hash = ea_entry_hash(a.name, a.value);
  }
  return result;
}

std::vector<std::string> sort_attributes(std::vector<Attribute>& attributes) {
  const auto before = [](const Attribute& a, const Attribute& b) {
    return ea_entry_before(a.name_index, a.name, b.name_index, b.name);
  };
  std::ranges::stable_sort(attributes, before);
  std::vector<std::string> dropped;
  std::vector<Attribute> kept;
  for (Attribute& a : attributes) {
    if (!kept.empty() && !before(kept.back(), a))
      dropped.push_back(a.full_name());
    else
      kept.push_back(std::move(a));
  }
  attributes = std::move(kept);
  return dropped;
}

size_t pack_attributes(MutableBytes space, size_t first, size_t values_from, std::span<const Attribute> attributes) {
  size_t end_of_entries = first, begin_of_values = space.size(), fit = 0;
  for (const Attribute& a : attributes) {
    const size_t entry = EXT2_EXT_ATTR_LEN(a.name.size());
    if (end_of_entries + entry + sizeof(uint32_t) + a.value.size() > begin_of_values) break;
    end_of_entries += entry;
    begin_of_values -= a.value.size();
    ++fit;
  }
  std::ranges::fill(space.subspan(first), std::byte{0});
  size_t at = first, value_at = space.size();
  for (const Attribute& a : attributes.first(fit)) {
    ext2_ext_attr_entry e{};
    e.e_name_len = static_cast<uint8_t>(a.name.size());
    e.e_name_index = a.name_index;
    e.e_value_inum = a.value_inode.value;
    e.e_value_size = a.value_size;
    e.e_hash = a.hash;
    if (!a.value.empty()) {
      value_at -= a.value.size();
      e.e_value_offs = static_cast<uint16_t>(value_at - values_from);
      std::ranges::copy(a.value, space.subspan(value_at).begin());
    }
    store(space, at, e);
    std::ranges::copy(a.name, space.subspan(at + sizeof e).begin());
    at += EXT2_EXT_ATTR_LEN(a.name.size());
  }
  return fit;
}

}  // namespace extscrub
