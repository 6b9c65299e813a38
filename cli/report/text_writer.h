// What the parts of the text report share. One thread.
#pragma once

#include <fmt/color.h>
#include <fmt/format.h>

#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/report/report.h"

namespace extscrub {

// Appends to one string; knows whether to colour.
struct TextWriter {
  std::string text;
  bool color;

  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  }
  [[nodiscard]] std::string painted(const fmt::text_style& style, std::string_view word) const {
    return color ? fmt::format(style, "{}", word) : std::string(word);
  }
};

// "1 block", "3 blocks"
[[nodiscard]] inline std::string counted(size_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

// "inode-mode-invalid 12", "inode-blocks-count 3": most first.
[[nodiscard]] std::vector<std::string> codes_of(const std::map<std::string_view, size_t>& counts);

// What was found: what is new and what is not, where that is known, and what is past --max-findings.
void write_findings(TextWriter& w, const ImageReport& image, const TextStyle& style);

// What a scrub has made of its findings, or would: losses, blocks, what became of each buffer of a commit that did not come
// to its end.
void write_repairs(TextWriter& w, const ImageReport& image, bool verbose);

}  // namespace extscrub
