#include <string_view>

#include "cli/report/report.h"

namespace extscrub {

namespace {

// As a shell takes it for one word: bare where that is safe.
std::string shell_word(std::string_view text) {
  constexpr std::string_view kSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+=:,@%";
  if (!text.empty() && text.find_first_not_of(kSafe) == std::string_view::npos)
    return (text.starts_with('-') ? "./" : "") + std::string(text);
  std::string word = text.starts_with('-') ? "'./" : "'";
  for (const char c : text) {
    if (c == '\'')
      word += "'\\''";
    else
      word += c;
  }
  return word + "'";
}

}  // namespace

std::string undo_command(const ImageReport& image) { return undo_command(image.writeback->undo_file.native(), image.path); }

std::string undo_command(std::string_view log, std::string_view image) {
  return "extscrub undo " + shell_word(log) + " " + shell_word(image);
}

}  // namespace extscrub
