#!/bin/bash
# The undo file of a scrub: durable before the first byte of the image changes, and good for the old bytes again, by
# extscrub and by e2undo. Undo killed at random moments and run again ends at the old bytes too.
. "$(dirname "$0")/../support/scenario.sh"
export ASAN_OPTIONS=detect_leaks=0 # the leak checker of sanitizer builds cannot run in a traced process
shopt -s nullglob

spoilt_image() { # spoilt_image SET: $image, and $work/before.img with the same bytes
  image=$work/disk.img
  rm -f "$work"/disk.img*
  make_image "$1" "$image"
  spoil "$image"
  cp --sparse=always "$image" "$work/before.img"
}
undo_file() { # the only one: into $undo
  local files=("$image".extscrub-undo-*)
  [ ${#files[@]} = 1 ] || fail "${#files[@]} undo files beside $image, not one"
  undo=${files[0]:-none}
}
# killed_after SECONDS ARGUMENTS...: returns when nothing of the process is left. Its lock goes with its last write, which
# the kernel may still be at when the process itself is gone.
killed_after() {
  "$extscrub" "${@:2}" >/dev/null 2>&1 &
  local pid=$! i
  sleep "$1"
  { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || :
  for ((i = 0; i < 100; i++)); do flock -n "$image" true && return; sleep 0.05; done
}
is_as_before() { cmp "$image" "$work/before.img" >&2 || fail "$*"; }

for set in ext4-1k ext2-1k ext4-4k ext4-bigalloc ext4-noextents; do
  spoilt_image "$set"
  expect 1 "$extscrub" scrub "$image"
  undo_file
  [ "$(stat -c %a "$undo")" = 600 ] || fail "$set: the undo file has mode $(stat -c %a "$undo")"
  cp --sparse=always "$image" "$work/mended.img"
  # as the report says it
  command=$(sed -n 's/.*`\(extscrub undo .*\)`.*/\1/p' "$work/output")
  [ "$command" = "extscrub undo $undo $image" ] || fail "$set: the report says: $command"
  expect 0 "$extscrub" undo "$undo" "$image"
  is_as_before "$set: undo"
  expect 0 "$extscrub" undo "$undo" "$image"
  is_as_before "$set: undo, run again"
  expect 4 "$extscrub" audit "$image"
  if command -v e2undo >/dev/null; then
    cp --sparse=always "$work/mended.img" "$image"
    expect 0 e2undo "$undo" "$image"
    is_as_before "$set: e2undo"
  fi
done

# What e2fsck has saved, extscrub puts back.
spoilt_image ext4-4k
if e2fsck -fy -z "$work/e2fsck.undo" "$image" >/dev/null 2>&1; [ -s "$work/e2fsck.undo" ]; then
  expect 0 "$extscrub" undo "$work/e2fsck.undo" "$image"
  is_as_before "the undo file of e2fsck"
else
  echo "e2fsck makes no undo file here"
fi

# Wrong files, wrong images: nothing is written.
spoilt_image ext4-1k
expect 1 "$extscrub" scrub --undo-file "$work/kept.undo" "$image"
cp --sparse=always "$image" "$work/mended.img"
[ -s "$work/kept.undo" ] || fail "--undo-file made no file"
size=$(stat -c %s "$work/kept.undo")
head -c $((size - 700)) "$work/kept.undo" >"$work/cut.undo"
cp "$work/kept.undo" "$work/flipped.undo"
printf '\377' | dd of="$work/flipped.undo" bs=1 seek=$((size / 2)) conv=notrunc status=none
cmp -s "$work/kept.undo" "$work/flipped.undo" && printf '\0' | dd of="$work/flipped.undo" bs=1 seek=$((size / 2)) conv=notrunc status=none
for log in cut.undo flipped.undo before.img not-there; do
  expect 8 "$extscrub" undo "$work/$log" "$image"
  expect 8 "$extscrub" undo --force "$work/$log" "$image"
  cmp -s "$image" "$work/mended.img" || fail "$log: the image was written to"
done
make_image ext4-1k "$work/other.img" && tune2fs -U random "$work/other.img" >/dev/null 2>&1
other=$(sha256sum <"$work/other.img")
expect 8 "$extscrub" undo "$work/kept.undo" "$work/other.img"
[ "$other" = "$(sha256sum <"$work/other.img")" ] || fail "another image was written to"
expect 16 "$extscrub" undo --output "$work/kept.undo" "$work/kept.undo" "$image"

# Changed since, without a trace in the superblock: an inode that the scrub wrote.
cp --sparse=always "$work/mended.img" "$image"
debugfs -w -R 'sif /dir/file4 mtime 20010101000000' "$image" >/dev/null 2>&1
cmp -s -n 1024 -i 1024 "$image" "$work/mended.img" || fail "debugfs has changed the superblock, too"
cp --sparse=always "$image" "$work/changed.img"
expect 8 "$extscrub" undo "$work/kept.undo" "$image"
grep -q "changed the image since" "$work/output" || fail "not told that the image was changed"
cmp -s "$image" "$work/changed.img" || fail "an image that was changed since was written to"
expect 0 "$extscrub" undo --force "$work/kept.undo" "$image"
cp --sparse=always "$work/mended.img" "$image"

# No place for it: nothing is written, and the message knows the way out.
cp --sparse=always "$work/before.img" "$image"
expect 12 "$extscrub" scrub --undo-file "$work/no/such/directory" "$image"
grep -q -e --no-undo "$work/output" || fail "the message does not name --no-undo"
expect 12 "$extscrub" scrub --undo-file "$work/kept.undo" "$image"
is_as_before "a scrub that has no place for its undo file"
expect 1 "$extscrub" scrub --no-undo "$image"
files=("$image".extscrub-undo-*)
[ ${#files[@]} = 0 ] || fail "--no-undo made ${files[*]}"

# A partition in the image of a disk.
spoilt_image ext4-1k
{ head -c $((1536 * 1024)) /dev/urandom; cat "$work/before.img"; head -c 700 /dev/urandom; } >"$image"
cp "$image" "$work/before.img"
expect 1 "$extscrub" scrub --offset 1536K "$image"
undo_file
cp "$image" "$work/mended.img"
expect 0 "$extscrub" undo "$undo" "$image"
is_as_before "with --offset"
if command -v e2undo >/dev/null; then
  cp "$work/mended.img" "$image"
  expect 0 e2undo "$undo" "$image"
  is_as_before "e2undo with --offset"
fi

# Killed at any moment, scrub or undo: undo, run again, ends at the old bytes.
spoilt_image ext4-4k
for round in $(seq 1 "${KILLS:-12}"); do
  rm -f "$image".extscrub-undo-*
  cp --sparse=always "$work/before.img" "$image"
  killed_after "0.0$((RANDOM % 90 + 10))" scrub "$image"
  files=("$image".extscrub-undo-*)
  if [ ${#files[@]} = 0 ] || cmp -s "$image" "$work/before.img"; then
    is_as_before "round $round: no undo file, and yet it was written to"
    continue
  fi
  killed_after "0.00$((RANDOM % 9 + 1))" undo "${files[0]}" "$image"
  expect 0 "$extscrub" undo "${files[0]}" "$image"
  is_as_before "round $round: killed"
done

# The order, seen from the kernel.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  spoilt_image ext4-1k
  # With threads every write to the image is a system call of its own.
  status_of strace -f -y -e trace=pwrite64,write,pwritev,pwritev2,fsync,fdatasync,sync_file_range,io_uring_enter \
    -o "$work/trace" "$extscrub" scrub --queue=threads "$image"
  [ "$status" = 1 ] || { fail "exit $status under strace"; cat "$work/output" >&2; }
  first_line() { grep -nE "$1" "$work/trace" | head -1 | cut -d: -f1; }
  last_line() { grep -nE "$1" "$work/trace" | tail -1 | cut -d: -f1; }
  written=$(last_line "pwrite64\([0-9]+<$image\.extscrub-undo-")
  file=$(first_line "fsync\([0-9]+<$image\.extscrub-undo-[^>]*>\) += 0")
  directory=$(first_line "fsync\([0-9]+<$work>\) += 0")
  image_write=$(first_line "write[v0-9]*\([0-9]+<$image>")
  order="undo file written ${written:-never}, synced ${file:-never}, directory synced ${directory:-never}, image written ${image_write:-never}"
  echo "lines of the trace: $order"
  [ -n "$written" ] && [ -n "$file" ] && [ -n "$directory" ] && [ -n "$image_write" ] &&
    [ "$written" -lt "$file" ] && [ "$file" -lt "$directory" ] && [ "$directory" -lt "$image_write" ] ||
    fail "order: $order"
fi
conclude
