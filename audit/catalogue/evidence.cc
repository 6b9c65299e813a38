#include "audit/catalogue/evidence.h"

#include <fmt/format.h>

namespace extscrub {

namespace {

template <class... F>
struct Each : F... {
  using F::operator()...;
};

std::string text_of(uint64_t number, Radix radix) {
  return radix == Radix::hex ? fmt::format("{:#010x}", number) : fmt::to_string(number);
}

bool is_amount(const std::string& text) { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

}  // namespace

EvidenceTexts texts_of(const FindingEvidence& evidence) {
  return std::visit(
      Each{[](std::monostate) { return EvidenceTexts(); },
           [](const WrongNumber& w) {
             const std::string expected = w.expected ? text_of(*w.expected, w.radix) : std::string();
             return EvidenceTexts{w.at_most ? "at most " + expected : expected, text_of(w.found, w.radix) + w.remark};
           },
           [](const WrongBits& b) {
             return EvidenceTexts{b.should_be_set ? "in use" : "free", !b.should_be_set ? "in use"
                                                                       : b.uninit ? "free (the bitmap is marked uninitialised)"
                                                                                  : "free"};
           },
           [](const Unreadable& u) { return EvidenceTexts{"", u.text}; },
           [](const Note& n) { return EvidenceTexts{n.expected, n.found}; }},
      evidence);
}

EvidenceTexts words_of(const FindingEvidence& evidence) {
  EvidenceTexts texts = texts_of(evidence);
  for (std::string* text : {&texts.expected, &texts.found})
    if (is_amount(*text)) *text = "0";
  return texts;
}

bool is_stale_bit(const FindingEvidence& evidence) {
  const auto* bits = std::get_if<WrongBits>(&evidence);
  return bits && !bits->should_be_set;
}

bool is_missing_bit(const FindingEvidence& evidence) {
  const auto* bits = std::get_if<WrongBits>(&evidence);
  return bits && bits->should_be_set;
}

std::optional<uint64_t> expected_number(const FindingEvidence& evidence) {
  const auto* wrong = std::get_if<WrongNumber>(&evidence);
  return wrong && !wrong->at_most ? wrong->expected : std::nullopt;
}

}  // namespace extscrub
