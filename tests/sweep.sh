#!/bin/bash
# sweep.sh EXTSCRUB TOOLS [MODES]: breaks every write and flush of a scrub in turn, on images of several feature sets.
# A long run; e2e_fault_sweep.sh is the short one.
set -- "$1" "${2:?the folder of fault-sweep}" "${3:-fail-write,torn-write,fail-writes-from,short-write,fail-fsync,crash}"
. "$(dirname "$0")/support/scenario.sh"
tools=$2 modes=$3
[ -x "$tools/fault-sweep" ] || { echo "no fault-sweep in $tools" >&2; exit 1; }
# shellcheck disable=SC2046  # several words
cc -O2 -o "$work/faultfile" "$tools/faultfile.c" $(pkg-config --cflags --libs fuse3) -lpthread
for set in ext4-1k ext2-1k ext4-4k ext4-bigalloc; do
  echo "== $set"
  make_image "$set" "$work/spoilt.img"
  spoil "$work/spoilt.img"
  "$tools/fault-sweep" --faultfile "$work/faultfile" --modes "$modes" "$work/spoilt.img" -- "$extscrub" scrub ||
    fail "$set"
done
# A harder image: damage that safe repairs do not mend in whole as well. Nothing may lie on it either.
echo "== make-damaged-image"
unset MKE2FS_CONFIG
"$tools/make-damaged-image" "$work/damaged.img"
"$tools/fault-sweep" --faultfile "$work/faultfile" --modes "$modes" "$work/damaged.img" -- "$extscrub" scrub --repair=all ||
  fail "make-damaged-image"
conclude
