#include "cli/text/escape.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <optional>

namespace extscrub {

namespace {

struct Character {
  uint32_t code_point;
  size_t length;  // bytes
};

// The UTF-8 character that `bytes` begins with (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF);
// nothing when it begins with none.
std::optional<Character> decode(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return Character{first, 1};
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || bytes.size() < length) return std::nullopt;
  uint32_t code_point = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
    code_point = code_point << 6 | (byte(i) & 0x3Fu);
  }
  const uint32_t smallest = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (code_point < smallest || code_point > 0x10FFFF || surrogate) return std::nullopt;
  return Character{code_point, length};
}

// Direction marks and overrides, line separators and the byte order mark: invisible, but they change what is seen.
bool is_format_character(uint32_t c) {
  return c == 0x061C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
         c == 0xFEFF || (c >= 0xE0000 && c <= 0xE007F);
}

void append_escaped(std::string& out, uint32_t c, std::string_view raw) {
  const auto to = std::back_inserter(out);
  if (c == '\\')
    out += "\\\\";
  else if (c == '\n')
    out += "\\n";
  else if (c == '\t')
    out += "\\t";
  else if (c == '\r')
    out += "\\r";
  else if (c < 0x20 || c == 0x7F)
    fmt::format_to(to, "\\x{:02x}", c);
  else if ((c >= 0x80 && c < 0xA0) || is_format_character(c))
    fmt::format_to(to, "\\u{{{:04x}}}", c);
  else
    out += raw;
}

}  // namespace

std::string escape(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    if (const auto character = decode(bytes)) {
      append_escaped(out, character->code_point, bytes.substr(0, character->length));
      bytes.remove_prefix(character->length);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint8_t>(bytes[0]));
      bytes.remove_prefix(1);
    }
  }
  return out;
}

std::string as_utf8(std::string_view bytes) {
  for (std::string_view rest = bytes; !rest.empty();) {
    const auto character = decode(rest);
    if (!character) return escape(bytes);
    rest.remove_prefix(character->length);
  }
  return std::string(bytes);
}

}  // namespace extscrub
