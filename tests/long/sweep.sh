#!/bin/bash
# sweep.sh EXTSCRUB TOOLS [MODES]: breaks every write and flush of a scrub in turn, and cuts the power after each, on
# images of several feature sets and of the corpus, through the journal and in place, with either queue. A long run;
# writeback_sweep_test.cc and e2e_fault_sweep.sh are the short ones. ONLY=NAME runs those whose name contains it.
# What devices do besides failing (sweep_more.py) is tried at up to SWEEP_MORE (20) places a mode.
set -- "$1" "${2:?the folder of fault-sweep}" "${3:-fail-write,torn-write,fail-writes-from,short-write,fail-fsync,crash}"
. "$(dirname "$0")/../support/scenario.sh"
tools=$2 modes=$3
[ -x "$tools/fault-sweep" ] || { echo "no fault-sweep in $tools" >&2; exit 1; }
# shellcheck disable=SC2046  # several words
cc -O2 -o "$work/faultfile" "$tools/faultfile.c" $(pkg-config --cflags --libs fuse3) -lpthread
# shellcheck disable=SC2046
[ ! -e "$tools/faultfile-more.c" ] ||
  cc -O2 -o "$work/faultfile-more" "$tools/faultfile-more.c" $(pkg-config --cflags --libs fuse3) -lpthread

# sweep NAME OPTIONS_OF_FAULT_SWEEP -- OPTIONS_OF_SCRUB: of $work/spoilt.img
sweep() {
  local name=$1 own=(); shift
  [[ $name = *${ONLY:-}* ]] || return 0
  while [ "$1" != -- ]; do own+=("$1"); shift; done
  shift
  echo "== $name"
  "$tools/fault-sweep" --faultfile "$work/faultfile" "${own[@]}" "$work/spoilt.img" -- "$extscrub" scrub "$@" || fail "$name"
  [[ $name = *subsets* ]] || [ ! -x "$work/faultfile-more" ] ||
    "$source/tests/long/sweep_more.py" --max "${SWEEP_MORE:-20}" "$work/faultfile-more" "$work/spoilt.img" -- "$extscrub" scrub "$@" ||
    fail "$name, with other faults"
}

for set in ext4-1k ext2-1k ext4-4k ext4-bigalloc; do
  make_image "$set" "$work/spoilt.img"
  spoil "$work/spoilt.img"
  sweep "$set" --modes "$modes" --
done

# Harder images: damage that safe repairs do not mend in whole as well.
unset MKE2FS_CONFIG
damaged() { "$tools/make-damaged-image" "$work/spoilt.img" "$@"; }
damaged
sweep damaged --modes "$modes" -- --repair=all
sweep damaged-direct --modes "$modes" -- --repair=all --commit=direct
sweep damaged-threads --modes "$modes" -- --repair=all --queue=threads
sweep damaged-crash-subsets --modes crash --crash-subsets 20 -- --repair=all
sweep damaged-crash-subsets-direct --modes crash --crash-subsets 20 -- --repair=all --commit=direct
damaged -O ^has_journal && sweep damaged-no-journal --modes "$modes" -- --repair=all
damaged -b 4096 && sweep damaged-4k --modes "$modes" -- --repair=all
damaged -O ^metadata_csum,^64bit && sweep damaged-no-checksums --modes "$modes" -- --repair=all

corpus=0
for packed in "$shared"/corpus/corrupt/*.zst; do
  [ "$corpus" -lt "${SWEEP_CORPUS:-10}" ] || break
  zstd -dqf --sparse "$packed" -o "$work/spoilt.img"
  # Only what a scrub mends wholly can be swept, and small ones end today.
  [ "$(stat -c %s "$work/spoilt.img")" -le $((64 << 20)) ] || continue
  cp --sparse=always "$work/spoilt.img" "$work/tried.img"
  "$extscrub" scrub --repair=all --no-undo "$work/tried.img" >/dev/null 2>&1 || [ $? = 1 ] || continue
  e2fsck -fn "$work/tried.img" >/dev/null 2>&1 || continue
  cmp -s "$work/spoilt.img" "$work/tried.img" && continue
  corpus=$((corpus + 1))
  sweep "corpus $(basename "$packed")" --modes "$modes" -- --repair=all
done
echo "$corpus images of the corpus"
conclude
