#!/bin/bash
# What a scrub has mended, the kernel mounts, reads in whole, and writes to; and e2fsck is content with it afterwards.
. "$(dirname "$0")/../support/scenario.sh"
need_root
mkdir "$work/mnt"
mounts=0
for set in ext2-1k ext3-1k ext4-1k ext4-4k ext4-gdtcsum ext4-bigalloc ext4-metabg ext4-seed ext4-noextents; do
  image=$work/$set.img
  make_image "$set" "$image"
  spoil "$image"
  expect 1 "$extscrub" scrub "$image"
  mount -o loop "$image" "$work/mnt" 2>"$work/why" || {
    # No loop device here, or a kernel without this feature: the untouched image decides which.
    make_image "$set" "$work/sound.img"
    if mount -o loop "$work/sound.img" "$work/mnt" 2>/dev/null; then
      umount "$work/mnt"
      fail "$set: the kernel mounts the sound image and not the mended one: $(cat "$work/why")"
    fi
    continue
  }
  mounts=$((mounts + 1))
  mounted=("$work/mnt")
  find "$work/mnt" -type f -exec cat {} + >/dev/null || fail "$set: a file cannot be read"
  [ "$(stat -c %s "$work/mnt/big")" = 400000 ] || fail "$set: /big has another size"
  cp -r "$work/mnt/dir" "$work/mnt/copy" || fail "$set: cannot write"
  rm -r "$work/mnt/many"
  umount "$work/mnt"
  mounted=()
  expect 0 e2fsck -fn "$image"
  expect 0 "$extscrub" audit "$image"
done
[ $mounts -gt 0 ] || skip "cannot mount loop devices: $(cat "$work/why")"
conclude
