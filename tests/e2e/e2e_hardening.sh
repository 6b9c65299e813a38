#!/bin/bash
# The program that is installed has the compiler's and linker's protections: an address of its own in each run, tables that
# are read-only once it runs, no stack that can be executed, canaries, checked calls of libc, and marked targets of jumps.
. "$(dirname "$0")/../support/scenario.sh"
command -v readelf >/dev/null && command -v nm >/dev/null || skip "needs binutils"
cache=$(dirname "$extscrub")/CMakeCache.txt
grep -q '^EXTSCRUB_HARDEN:BOOL=ON' "$cache" && grep -q '^CMAKE_BUILD_TYPE:STRING=Release' "$cache" ||
  skip "this build is not the one that is installed"

readelf -hldW "$extscrub" >"$work/elf"
has() { grep -Eq "$1" "$work/elf" || fail "no $2"; }
has '^ *Type: +DYN .*Position-Independent' 'position-independent executable'
has '\(FLAGS_1\).*NOW.*PIE' 'binding at start, so the tables of calls stay writable'
has '^ *GNU_RELRO' 'segment that is read-only after relocation'
has '^ *GNU_STACK .* RW  ' 'stack without the right to execute'
nm -D "$extscrub" >"$work/symbols"
grep -q ' U __stack_chk_fail@' "$work/symbols" || fail "no stack protector"
grep -Eq ' U __[a-z]+_chk@' "$work/symbols" || fail "no checked calls of libc"
grep -q '__glibcxx_assert_fail' "$work/symbols" || fail "no assertions of the C++ library"
if [ "$(uname -m)" = x86_64 ] && command -v objdump >/dev/null; then
  objdump -d --no-show-raw-insn "$extscrub" | grep -c endbr64 >"$work/marks"
  [ "$(cat "$work/marks")" -gt 1000 ] || fail "no marked targets of indirect jumps ($(cat "$work/marks"))"
fi
conclude
