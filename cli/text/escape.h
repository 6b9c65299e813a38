// Strings that come from an image or a command line, made fit to be printed: a label or a file name must not be able to
// move the cursor, change the colour or reorder what is read. Pure functions: any thread.
#pragma once

#include <string>
#include <string_view>

namespace extscrub {

// For a terminal or a log: control characters, format characters that reorder text, and bytes that are no UTF-8 become
// \n, \xNN or \u{NNNN}; a backslash is doubled, so that the original can be told from it.
[[nodiscard]] std::string escape(std::string_view bytes);

// For JSON, which escapes by itself but holds nothing but UTF-8: the bytes as they are when they are UTF-8, otherwise
// as escape() writes them.
[[nodiscard]] std::string as_utf8(std::string_view bytes);

}  // namespace extscrub
