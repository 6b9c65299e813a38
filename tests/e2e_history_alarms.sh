#!/bin/bash
# Nobody who writes past the journal is taken for a lost write: a few images of `make history`.
. "$(dirname "$0")/support/scenario.sh"
need_root
unset MKE2FS_CONFIG
mkdir "$work/mnt"
truncate -s 4M "$work/probe.img"
mke2fs -q -F "$work/probe.img"
need_mount -o loop "$work/probe.img" "$work/mnt"
umount "$work/mnt"
mounted=()
"$source/tests/history.py" --seed 1 --images 10 --snapshots 8 --jobs 4 --work "$work" "$extscrub" >"$work/report" || { cat "$work/report" >&2; fail "false alarms"; }
tail -1 "$work/report"
grep -qE '^images 10, steps [0-9]+, snapshots [0-9]+, .*not audited 0, zeroed blocks [0-9]+, alarms 0$' "$work/report" || fail "not all images were audited"
conclude
