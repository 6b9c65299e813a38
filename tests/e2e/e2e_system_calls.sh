#!/bin/bash
# Seen from the kernel: what a scrub asks of the disks, and in which order. The undo log and its name are durable and have been
# read again before the first byte of the image is written; everything written is flushed; what is read back does not come
# from a cache; the file that stands in for the mark is durable, its name too.
. "$(dirname "$0")/../support/scenario.sh"
command -v strace >/dev/null || skip "needs strace"
strace -o /dev/null true 2>/dev/null || skip "strace is not allowed to trace here"
export ASAN_OPTIONS=detect_leaks=0  # the leak checker of sanitizer builds cannot run in a traced process
unset MKE2FS_CONFIG

truncate -s 1M "$work/spoilt.img"
mke2fs -q -F -t ext2 -b 1024 "$work/spoilt.img"
debugfs -w -R "setb 900 20" "$work/spoilt.img" 2>/dev/null

# traced NAME OPTION_OF_STRACE... -- OPTION_OF_SCRUB...: of a fresh copy; the calls are in $work/trace, the exit status in $status.
traced() {
  local own=()
  rm -f "$work"/image.img*
  cp "$work/spoilt.img" "$work/image.img"
  while [ "$1" != -- ]; do own+=("$1"); shift; done
  shift
  status_of strace -f -y -s 0 -o "$work/trace" "${own[@]}" \
    -e trace=openat,pwrite64,pread64,fsync,fdatasync,rename,fadvise64 "$extscrub" scrub --no-isolate --queue=threads "$@" "$work/image.img"
}
# in_order WHAT PATTERN...: the calls that match come in this order, each behind the one before.
in_order() {
  local what=$1 at=0 pattern next; shift
  for pattern; do
    next=$(awk -v at="$at" -v pattern="$pattern" 'NR > at && $0 ~ pattern { print NR; exit }' "$work/trace")
    [ -n "$next" ] || { fail "$what: no $pattern behind line $at"; tail -n +"$((at + 1))" "$work/trace" | head -20 >&2; return; }
    at=$next
  done
}
# line LAST|FIRST PATTERN: the number of the first or last call that matches; 0 when there is none.
line() { awk -v first="$1" -v pattern="$2" '$0 ~ pattern && !(first == "first" && n) { n = NR } END { print n + 0 }' "$work/trace"; }

log='image.img.extscrub-undo-[0-9TZ]*'
traced --
[ "$status" = 1 ] || fail "the scrub: exit $status"
in_order "undo log" "openat.*$log.*O_CREAT[|]O_EXCL" "pwrite64\\(.*$log" "fsync\\(.*$log" "fsync\\([0-9]+<$work>" \
  "fadvise64\\(.*$log.*DONTNEED" "openat.*$log.*O_RDONLY" "pread64\\(.*$log" "pwrite64\\(.*image.img>"
[ "$(line last "pwrite64\\(.*$log")" -lt "$(line first "fsync\\(.*$log")" ] || fail "the undo log was written behind its fsync"
in_order "waves" "pwrite64\\(.*image.img>" "fdatasync\\(.*image.img>" "pread64\\(.*image.img>" "pwrite64\\(.*image.img>" \
  "fdatasync\\(.*image.img>" "pread64\\(.*image.img>" "pwrite64\\(.*image.img>" "fdatasync\\(.*image.img>"
[ "$(line last "pwrite64\\(.*image.img>")" -lt "$(line last "fdatasync\\(.*image.img>")" ] || fail "the last write was not flushed"
grep -q 'openat.*image.img".*O_DSYNC' "$work/trace" || fail "what is not aligned does not go out with O_DSYNC"

# The number of the call that asks for direct I/O, among those that open the image, where that is to be had here. Others are
# not counted: how many there are depends on what else runs on the machine.
direct=$(grep -E 'openat\(.*/image\.img"' "$work/trace" | awk '/O_DIRECT/ { print NR; exit }')
if [ -n "$direct" ]; then
  traced -P "$work/image.img" -e inject=openat:error=EIO:when="$direct" --
  [ $((status & 8)) = 8 ] || fail "direct I/O that fails with EIO: exit $status, without 8"
  cmp -s "$work/spoilt.img" "$work/image.img" || fail "direct I/O that fails with EIO: the image was written"
  traced -P "$work/image.img" -e inject=openat:error=EINVAL:when="$direct" --
  [ "$status" = 1 ] || fail "no direct I/O: exit $status, not 1"
fi
grep -q 'openat.*image.img".*O_DIRECT.*= [0-9]' "$work/trace" ||
  in_order "reading back without direct I/O" "fdatasync\\(.*image.img>" "fadvise64\\(.*image.img>.*DONTNEED" "pread64\\(.*image.img>"

# The first two writes of every thread fail, those of the mark among them: the sidecar speaks for the image.
traced -e inject=pwrite64:error=EIO:when=1..2 -- --no-undo
[ "$status" = 8 ] || fail "writes that fail: exit $status, not 8"
[ -e "$work/image.img.extscrub-errored" ] || fail "writes that fail: no sidecar"
in_order "sidecar" "openat.*image.img.extscrub-errored[.].*O_CREAT" "pwrite64\\(.*extscrub-errored" "fsync\\(.*extscrub-errored" \
  "rename\\(.*extscrub-errored" "fsync\\([0-9]+<$work>"
conclude
