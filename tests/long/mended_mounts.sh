#!/bin/bash
# mended_mounts.sh EXTSCRUB FUZZ [COUNT] [SEED]: damages sound images at random, mends them, has the kernel mount each of
# them and read all of it, and scrubs each again. The last line says how many were mounted, refused, not readable in whole,
# and written to by the second scrub. A long run.
# FUZZ makes and damages the images. It is given this script as the program to judge, which does the scrub and then the rest.
look_at() {
  local image=$1 mnt=$MENDED_WORK/mnt before
  before=$(xxhsum -q "$image")
  "$MENDED_EXTSCRUB" scrub --repair=all "$image" >"$MENDED_WORK/again" 2>&1
  if [ "$(xxhsum -q "$image")" != "$before" ]; then
    tally rewritten "$image"
    return
  fi
  # The kernel can hang for good on an image; one is enough.
  [ ! -e "$MENDED_WORK/hung" ] || return 0
  touch "$MENDED_WORK/hung"
  if ! timeout 8 mount -o ro,loop "$image" "$mnt" 2>"$MENDED_WORK/why"; then
    rm "$MENDED_WORK/hung"
    tally refused "$image"
    return
  fi
  if timeout 8 find "$mnt" -xdev \( -type f -exec cat {} + \) -o -ls >/dev/null 2>"$MENDED_WORK/why"; then
    tally mounted
  else
    tally unreadable "$image"
  fi
  timeout 8 umount "$mnt" && rm "$MENDED_WORK/hung"
}
tally() {
  echo "$1" >>"$MENDED_WORK/tally"
  [ $# = 1 ] || [ -z "$MENDED_KEEP" ] || cp --sparse=always "$2" "$MENDED_KEEP/$1-$(wc -l <"$MENDED_WORK/tally").img"
  [ "$1" = mounted ] || { echo "$1: $(tail -1 "$MENDED_WORK/why" 2>/dev/null)" >>"$MENDED_WORK/words"; }
}
if [ -n "${MENDED_EXTSCRUB:-}" ]; then
  status=0
  "$MENDED_EXTSCRUB" "$@" || status=$?
  # Mended, or nothing to mend: either way it is said to be sound.
  if [ "$1" = scrub ] && [ $status -le 1 ]; then look_at "${*: -1}" </dev/null >/dev/null 2>&1; fi
  exit $status
fi

. "$(dirname "$0")/../support/scenario.sh"
need_root
fuzz=$(realpath "${2:?the fuzz tool}") count=${3:-200} seed=${4:-1}
unset MKE2FS_CONFIG
mkdir "$work/mnt"
truncate -s 4M "$work/probe.img"
mke2fs -q -F "$work/probe.img"
need_mount -o ro,loop "$work/probe.img" "$work/mnt"
umount "$work/mnt"
mounted=("$work/mnt")
: >"$work/tally"
: >"$work/words"
export MENDED_EXTSCRUB=$extscrub MENDED_WORK=$work MENDED_KEEP=${MENDED_KEEP:-}
# It fails for an alarm too, which is not what this is about.
{ "$fuzz" --seed "$seed" --count "$count" "$(realpath "$0")" || :; } | tail -1 | tee "$work/rounds"
grep -q 'unrepaired 0, crash 0' "$work/rounds" || fail "an image was not mended"
sort "$work/words" | uniq -c
number() { grep -cx "$1" "$work/tally" || :; }
echo "mounted $(number mounted), refused $(number refused), unreadable $(number unreadable), rewritten $(number rewritten)"
[ ! -e "$work/hung" ] || fail "the kernel did not come back from an image: the rest was not mounted"
for what in refused unreadable rewritten; do [ "$(number $what)" = 0 ] || fail "images $what"; done
conclude
