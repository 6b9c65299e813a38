#!/bin/bash
# Nobody who writes past the journal is taken for a lost write: a few images of `make history`. And nothing is found in what
# others make: a few of `make writers`.
. "$(dirname "$0")/../support/scenario.sh"
need_root
unset MKE2FS_CONFIG
mkdir "$work/mnt"
truncate -s 4M "$work/probe.img"
mke2fs -q -F "$work/probe.img"
need_mount -o loop "$work/probe.img" "$work/mnt"
umount "$work/mnt"
mounted=()
"$source/tests/long/history.py" --seed 1 --images 10 --snapshots 8 --jobs 4 --work "$work" "$extscrub" >"$work/report" || { cat "$work/report" >&2; fail "false alarms"; }
tail -1 "$work/report"
grep -qE '^images 10, steps [0-9]+, snapshots [0-9]+, .*not audited 0, zeroed blocks [0-9]+, alarms 0$' "$work/report" || fail "not all images were audited"
"$source/tests/long/writers.py" --seed 1 --rounds 1 --jobs 4 --work "$work" --writers mke2fs,tune2fs,resize2fs "$extscrub" >"$work/report" ||
  { cat "$work/report" >&2; fail "findings in sound images"; }
tail -1 "$work/report"
# What e2fsck itself objects to behind a step is no image to judge by.
grep -qE '^images 3, steps 17, sound 1[0-7], .*disagreements 0$' "$work/report" || fail "not all images were looked at"
conclude
