#!/bin/bash
# Block devices, with sectors of 512 and of 4096 bytes: an audit, a scrub and an undo of a device leave the bytes that
# they leave in a file. Partitions of a disk, by the disk and by their own devices. A device that is mounted is not
# scrubbed. And what no device has: a file system at any byte of a file.
. "$(dirname "$0")/../support/scenario.sh"
need_root
for tool in losetup blockdev sgdisk; do command -v $tool >/dev/null || skip "needs $tool"; done

loops=() # the devices that this scenario has set up, and nobody else's
clean_up() { for device in "${loops[@]}"; do losetup --detach "$device" 2>/dev/null || :; done; }
# attach SECTOR FILE [OPTION...]: a loop device over the file, into $device
attach() {
  device=$(losetup --find --show --sector-size "$1" "${@:3}" "$2" 2>"$work/why") ||
    skip "cannot set up a loop device with sectors of $1 bytes: $(cat "$work/why")"
  loops+=("$device")
  [ "$(blockdev --getss "$device")" = "$1" ] || fail "$device has no sectors of $1 bytes"
}
# detach: the device that was attached last; what was written to it is in its file then.
detach() {
  losetup --detach "${loops[-1]}" || fail "cannot detach ${loops[-1]}"
  unset 'loops[-1]'
}
is_same() { cmp "$1" "$2" >&2 || fail "${*:3}"; }
# is_same_scrub A B TEXT...: the same but for the time at which a transaction was committed, which the head of one block
# of the log holds, with its checksum, in bytes 16 to 59.
is_same_scrub() {
  { cmp --verbose "$1" "$2" 2>&1 || :; } | awk '
    { at = ($1 - 1) % 1024; block = int(($1 - 1) / 1024) }
    !/^ *[0-9]+ +[0-7]+ +[0-7]+$/ || at < 16 || at > 59 || (NR > 1 && block != last) { print; exit 1 }
    { last = block }' >&2 || fail "${*:3}"
}

truncate -s 1M "$work/probe.img"
for sector in 512 4096; do
  attach $sector "$work/probe.img"
  detach
done

# mend SET WAY: $work/spoilt.img and, after a scrub by the plan in $work/plan.json, $work/mended.img. A plan has the
# time that goes into the superblock, so that a second scrub by it has to write the same.
mend() {
  make_image "$1" "$work/spoilt.img"
  spoil "$work/spoilt.img"
  cp --sparse=always "$work/spoilt.img" "$work/mended.img"
  expect 4 "$extscrub" scrub --dry-run --format=json --output "$work/plan.json" "$work/mended.img"
  expect 1 "$extscrub" scrub --no-undo --commit="$2" --plan "$work/plan.json" "$work/mended.img"
}

for sector in 512 4096; do
  for set in ext4-4k ext4-1k ext2-1k; do
    for way in auto direct; do
      name="$set, sectors of $sector bytes, --commit=$way"
      mend "$set" $way
      cp --sparse=always "$work/spoilt.img" "$work/disk.img"
      attach "$sector" "$work/disk.img"
      expect 4 "$extscrub" audit "$device"
      is_same "$device" "$work/spoilt.img" "$name: the audit wrote"
      expect 1 "$extscrub" scrub --undo-file "$work/undo" --commit=$way --plan "$work/plan.json" "$device"
      is_same_scrub "$device" "$work/mended.img" "$name: the scrub of a device left other bytes than of a file"
      expect 0 "$extscrub" audit "$device"
      expect 0 e2fsck -fn "$device"
      expect 0 "$extscrub" undo "$work/undo" "$device"
      is_same "$device" "$work/spoilt.img" "$name: undo does not give the old bytes back"
      detach
      is_same "$work/disk.img" "$work/spoilt.img" "$name: the file under the device has other bytes"
      rm -f "$work/undo"
    done
  done
done

# show_partitions: those of $device; a kernel that does not know GPT is told of them.
show_partitions() {
  local of=${device##*/}
  [ -e "/sys/block/$of/${of}p1" ] || partx --add "$device" 2>"$work/why" || return
  [ -e "/sys/block/$of/${of}p1" ]
}
# partition NUMBER: its device, into $part. Where nobody makes the nodes in /dev, it is made here.
partition() {
  local of=${device##*/} numbers
  part=${device}p$1
  [ -b "$part" ] && return
  part=$work/${of}p$1
  numbers=$(<"/sys/block/$of/${of}p$1/dev")
  [ -b "$part" ] || mknod -m 600 "$part" b "${numbers%:*}" "${numbers#*:}"
}
for sector in 512 4096; do
  name="GPT with sectors of $sector bytes"
  mend ext4-4k auto
  truncate -s 132M "$work/gpt.img"
  attach "$sector" "$work/gpt.img"
  # The file systems begin at 1 MiB and at 66 MiB.
  sgdisk --new=1:$((1048576 / sector)):+64M --new=2:$((69206016 / sector)):+60M "$device" >"$work/why" 2>&1 ||
    { fail "$name: sgdisk: $(cat "$work/why")"; detach; continue; }
  dd if="$work/spoilt.img" of="$device" bs=1M seek=66 conv=fsync status=none
  make_image ext4-1k "$work/sound.img"
  dd if="$work/sound.img" of="$device" bs=1M seek=1 conv=fsync status=none
  detach
  attach "$sector" "$work/gpt.img" --partscan
  show_partitions || { echo "no partitions of $device: $(cat "$work/why")"; detach; continue; }
  cp --sparse=always "$work/gpt.img" "$work/before.img"
  expect 4 "$extscrub" audit "$device"
  verdicts=$(grep -oE '#p[0-9]+: [a-z]+' "$work/output" | tr '\n' ' ')
  [ "$verdicts" = "#p1: clean #p2: damaged " ] || fail "$name: the disk's verdicts are $verdicts"
  partition 1
  expect 0 "$extscrub" audit "$part"
  partition 2
  expect 4 "$extscrub" audit "$part"
  expect 1 "$extscrub" scrub --undo-file "$work/undo" --plan "$work/plan.json" "$part"
  is_same_scrub "$part" "$work/mended.img" "$name: the scrub of a partition left other bytes than that of a file"
  expect 0 "$extscrub" undo "$work/undo" "$part"
  is_same "$part" "$work/spoilt.img" "$name: undo of a partition does not give the old bytes back"
  rm -f "$work/undo"
  # The kernel keeps what it has read of the disk apart from what it has read of its partitions.
  blockdev --flushbufs "$device"
  is_same "$device" "$work/before.img" "$name: a byte outside the partition has changed"
  expect 1 "$extscrub" scrub --undo-file "$work/undo" --partition 2 --plan "$work/plan.json" "$device"
  blockdev --flushbufs "$part"
  is_same_scrub "$part" "$work/mended.img" "$name: the scrub of a partition by its disk left other bytes"
  expect 0 "$extscrub" undo "$work/undo" "$device"
  is_same "$device" "$work/before.img" "$name: undo on the disk does not give the old bytes back"
  rm -f "$work/undo"
  detach
done

# A mounted device, and the file under it, are not written to.
make_image ext4-4k "$work/mounted.img"
attach 512 "$work/mounted.img"
mkdir "$work/mnt"
if mount "$device" "$work/mnt" 2>"$work/why"; then
  mounted+=("$work/mnt")
  for name in "$device" "$work/mounted.img"; do
    expect 8 "$extscrub" scrub --no-undo "$name"
    grep -q "mounted on $work/mnt" "$work/output" ||
      fail "the scrub of $name does not say where it is mounted: $(cat "$work/output")"
  done
  umount "$work/mnt"
  expect 0 "$extscrub" scrub --no-undo "$device"
else
  echo "cannot mount $device, so that no mounted device was tried: $(cat "$work/why")"
fi
detach

# A file system that begins at no multiple of a sector, nor of a block.
for set in ext4-4k ext4-1k; do
  for way in auto direct; do
    mend $set $way
    for offset in 512 5121; do
      name="$set at byte $offset, --commit=$way"
      { head -c $offset /dev/urandom; cat "$work/spoilt.img"; } >"$work/odd.img"
      cp "$work/odd.img" "$work/before.img"
      expect 4 "$extscrub" audit --offset $offset "$work/odd.img"
      expect 1 "$extscrub" scrub --offset $offset --undo-file "$work/undo" --commit=$way --plan "$work/plan.json" \
        "$work/odd.img"
      tail -c +$((offset + 1)) "$work/odd.img" >"$work/inside.img"
      is_same_scrub "$work/inside.img" "$work/mended.img" "$name: the scrub left other bytes than at byte 0"
      cmp -n $offset "$work/odd.img" "$work/before.img" >&2 || fail "$name: the scrub wrote before the file system"
      expect 0 "$extscrub" undo "$work/undo" "$work/odd.img"
      is_same "$work/odd.img" "$work/before.img" "$name: undo does not give the old bytes back"
      rm -f "$work/undo"
    done
  done
done
conclude
