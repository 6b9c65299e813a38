
#include "cli/text/escape.h"
#include "tests/support/catch.h"

using extscrub::as_utf8;
using extscrub::escape;

TEST_CASE("plain and accented names are printed as they are") {
  CHECK(escape("lost+found/a b.txt") == "lost+found/a b.txt");
  CHECK(escape("Bücher/日本/🙂") == "Bücher/日本/🙂");
}

TEST_CASE("control characters of a label cannot reach the terminal") {
  CHECK(escape("a\nb\tc\rd") == "a\\nb\\tc\\rd");
  CHECK(escape("\x1b[31mred") == "\\x1b[31mred");
  CHECK(escape(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(escape("\x7f") == "\\x7f");
  CHECK(escape("\xc2\x9b"
               "31m") == "\\u{009b}31m");  // the one-character CSI
}

TEST_CASE("characters that reorder what is read are escaped") {
  CHECK(escape("a\u202Egpj.exe") == "a\\u{202e}gpj.exe");
  CHECK(escape("a\u2066b") == "a\\u{2066}b");
  CHECK(escape("a\u200Bb") == "a\\u{200b}b");
}

TEST_CASE("a name that holds an escape is told from an escaped name") { CHECK(escape("\\n") == "\\\\n"); }

TEST_CASE("bytes that are no UTF-8 are escaped one by one") {
  CHECK(escape("caf\xe9") == "caf\\xe9");
  CHECK(escape("\xc0\xaf") == "\\xc0\\xaf");                    // overlong
  CHECK(escape("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(escape("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(escape("\xe2\x82") == "\\xe2\\x82");                    // cut short
}

TEST_CASE("JSON is given UTF-8 as it is and other bytes escaped") {
  CHECK(as_utf8("ü\n") == "ü\n");
  CHECK(as_utf8("\xe9\n") == "\\xe9\\n");
}
