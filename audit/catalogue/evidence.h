// What a finding has to show: numbers, bits, what could not be read, or words for a person. Repairs and rules go by the values,
// nobody goes by the texts, which are made here for the reports. Plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace extscrub {

enum class Radix : uint8_t { decimal, hex };

// A number is not what it should be.
struct WrongNumber {
  std::optional<uint64_t> expected;  // none: only what it is is known
  uint64_t found = 0;
  Radix radix = Radix::decimal;
  bool at_most = false;              // `expected` is the most that it may be
  std::string remark = {};           // on what was found, for a person: goes on in its sentence

  bool operator==(const WrongNumber&) const = default;
};

// Bits of a bitmap are not what they should be.
struct WrongBits {
  bool should_be_set = false;
  bool uninit = false;  // the bitmap is marked as one that was never written

  bool operator==(const WrongBits&) const = default;
};

// What lies in a place that could not be read.
enum class UnreadPart : uint8_t {
  other,
  group_descriptor,   // of the finding's group
  descriptor_blocks,  // of the groups whose descriptors lie in the finding's blocks
  block_bitmap,
  inode_bitmap,
  inode_table,
  block_map,
  directory,
  attribute_block,
  symbolic_link,
};

struct Unreadable {
  UnreadPart part{};
  std::string text;  // more of it, for a person; may be empty

  bool operator==(const Unreadable&) const = default;
};

// For a person. Empty where there is nothing to compare.
struct Note {
  std::string expected, found;

  bool operator==(const Note&) const = default;
};

using FindingEvidence = std::variant<std::monostate, WrongNumber, WrongBits, Unreadable, Note>;

struct EvidenceTexts {
  std::string expected, found;  // empty where there is none

  auto operator<=>(const EvidenceTexts&) const = default;
};

[[nodiscard]] EvidenceTexts texts_of(const FindingEvidence& evidence);
// The same without the amounts, in which findings that are put together may differ.
[[nodiscard]] EvidenceTexts words_of(const FindingEvidence& evidence);

// Whether it says that bits are set and should not be.
[[nodiscard]] bool is_stale_bit(const FindingEvidence& evidence);
// Whether it says that bits are not set and should be.
[[nodiscard]] bool is_missing_bit(const FindingEvidence& evidence);
// What the number should be; none where that is not known, or is a limit.
[[nodiscard]] std::optional<uint64_t> expected_number(const FindingEvidence& evidence);

}  // namespace extscrub
