#!/bin/bash
# ENOSPC for real: the image is sparse, the file system under it is full, so the first block that a repair puts into a
# hole cannot be stored. The run must say so, exit 8, and leave an image that does not claim to be clean.
. "$(dirname "$0")/../support/scenario.sh"
need_root
mkdir "$work/small"
need_mount -t tmpfs -o size=24m tmpfs "$work/small"
image=$work/small/image

# Group 2's bitmaps and inode table are in holes as long as nothing but zeros is in them; the repair of its block bitmap
# has to write there.
mke2fs -q -F -t ext4 -b 1024 -N 4096 -O ^metadata_csum,^uninit_bg,^has_journal,^flex_bg "$image" 64M
bitmap=$(dumpe2fs "$image" 2>/dev/null | awk '/^Group 2:/ { found = 1 } found && /Block bitmap at/ { print $4; exit }')
dd if=/dev/zero of="$image" bs=1024 seek="$bitmap" count=1 conv=notrunc status=none
fallocate --punch-hole --offset $((bitmap / 4 * 4096)) --length 4096 "$image"
dd if=/dev/zero of="$work/small/ballast" bs=64k status=none 2>/dev/null || :
cp --sparse=always "$image" "$work/before.img"

expect 4 "$extscrub" audit "$image"
# There is no room for the undo file either: then nothing is written at all.
status_of "$extscrub" scrub "$image"
((status & 8)) || fail "without room for an undo file: exit $status"
grep -qi 'no space' "$work/output" && grep -q -e --no-undo "$work/output" || fail "the report does not say what is missing"
cmp -s "$image" "$work/before.img" || fail "without room for an undo file, the image was written to"
ls "$image".extscrub-undo-* 2>/dev/null && fail "half an undo file is left"

status_of "$extscrub" scrub --no-undo "$image"
cat "$work/output"
((status & 8)) || fail "exit $status, without the bit for operational errors"
grep -qiE 'no space|ENOSPC' "$work/output" || fail "the report does not name the reason"
grep -qE '\b(clean|repaired)$' "$work/output" && fail "the report calls the image clean"
[ "$(stat -c %s "$image")" = "$(stat -c %s "$work/before.img")" ] || fail "the image's size changed"
# s_state: valid (1) without errors (2) would be a lie, unless nothing was written at all
state=$(od -An -tu2 -j $((1024 + 58)) -N 2 "$image" | tr -d ' ')
if ! cmp -s "$image" "$work/before.img"; then
  ((state & 1)) && ! ((state & 2)) && fail "the image says clean (s_state $state)"
fi

# With room again, the same command mends it.
rm "$work/small/ballast"
rm -f "$image.extscrub-errored"
expect 1 "$extscrub" scrub "$image"
expect 0 e2fsck -fn "$image"
conclude
