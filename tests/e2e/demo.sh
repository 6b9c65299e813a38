#!/bin/bash
# demo.sh EXTSCRUB: makes a small image, damages it, audits it, scrubs it, and audits it again. It prints each command
# before it runs it, says in a line what there is to see, and fails when an exit status is not the expected one.
# Needs no root; everything happens in a directory that is removed at the end.
set -euo pipefail
extscrub=$(realpath "${1:?path of extscrub}")
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
unset E2FSCK_CONFIG MKE2FS_CONFIG
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
ln -s "$extscrub" extscrub
PATH=$work:$PATH

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
say() { printf '\n# %s\n' "$*"; }

# run WANTED COMMAND...: shows the command, runs it, and insists on its exit status.
run() {
  local wanted=$1 status=0; shift
  printf '%s$ %s%s\n' "$bold" "$(printf '%q ' "$@" | sed 's/\\ / /g; s/ $//')" "$plain"
  "$@" 2>&1 || status=$?
  if [ "$status" != "$wanted" ]; then
    echo "demo: exit status $status, expected $wanted" >&2
    exit 1
  fi
  printf '  (exit status %s)\n' "$status"
}
# spoil REQUEST [OPTION]: one request to debugfs
spoil() {
  printf '%s$ debugfs %s-w -R "%s" sample.img%s\n' "$bold" "${2:+$2 }" "$1" "$plain"
  # shellcheck disable=SC2086  # no option is no word
  debugfs ${2:-} -w -R "$1" sample.img 2>&1 | sed '/^debugfs [0-9]/d'
}

say "A directory with a few files, and an ext4 image that holds them."
mkdir -p tree/letters tree/photos
for i in 1 2 3 4 5 6; do
  head -c $((i * 9000)) /dev/zero | tr '\0' "$i" >"tree/letters/letter-$i.txt"
  head -c $((i * 70000)) /dev/zero | tr '\0' p >"tree/photos/photo-$i.jpg"
done
run 0 truncate -s 32M sample.img
run 0 mke2fs -q -F -t ext4 -b 1024 -L sample -d tree sample.img

say "A sound image: exit status 0, verdict clean. The audit opens it read-only."
run 0 extscrub audit sample.img

say "Damage. Blocks of a photo are marked free, so that the next file written would overwrite them:"
photo=$(debugfs -R 'bmap /photos/photo-6.jpg 40' sample.img 2>/dev/null)
spoil "freeb $photo 20"
say "free blocks are marked in use, which wastes them:"
spoil "setb 30000 100"
say "a file that claims another number of blocks than it has:"
spoil "sif /letters/letter-3.txt blocks 77"
say "and wrong counts in the superblock and in a group descriptor."
spoil "ssv free_blocks_count 5"
spoil "set_bg 1 free_inodes_count 3"
spoil "set_bg 1 checksum calc" -n # -n: the descriptor has a wrong checksum until this is done

say "The audit names each of them: code, place, expected and found. Exit status 4: errors are left."
run 4 extscrub audit sample.img

say "What does a code mean, and what would its repair do?"
run 0 extscrub explain block-bitmap-mismatch

say "The scrub stages its repairs in memory and audits the result; only what is proven clean is written, block by block,"
echo "# with every write checked and read back. Exit status 1: errors were corrected."
run 1 extscrub scrub sample.img

say "e2fsck, which shares no code with the audit, agrees."
run 0 e2fsck -fn sample.img

say "And the audit, once more."
run 0 extscrub audit --output report.txt sample.img
cat report.txt
verdict=$("$extscrub" audit --format=json sample.img | sed -n 's/.*"verdict" *: *"\([a-z]*\)".*/\1/p' | head -1)
[ "$verdict" = clean ] || { echo "demo: the verdict is '$verdict', not clean" >&2; exit 1; }
printf '\nverdict: %s\n' "$verdict"
