#!/bin/bash
# Images as they come: partitioned disks (GPT and MBR), compressed images, lists of images.
. "$(dirname "$0")/../support/scenario.sh"
make_image ext4-1k "$work/sound.img"
make_image ext2-1k "$work/spoilt.img"
spoil "$work/spoilt.img"

# disk KIND FILE: three partitions, with a sound file system, with nothing, with a damaged file system.
put() { dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none; }
mebibytes() { echo $((($(stat -c %s "$1") + (1 << 20) - 1) >> 20)); }
first=$(mebibytes "$work/sound.img") third=$(mebibytes "$work/spoilt.img")
disk() {
  rm -f "$2"
  truncate -s $((1 + first + 2 + third + 2))M "$2"
  case $1 in
  gpt) sgdisk -n "1:2048:+${first}M" -n 2:0:+2M -n "3:0:+${third}M" "$2" >/dev/null ;;
  dos) printf 'label: dos\nstart=2048, size=%sM\nsize=2M\nsize=%sM\n' "$first" "$third" | sfdisk -q "$2" ;;
  esac
  put "$work/sound.img" "$2" 1
  put "$work/spoilt.img" "$2" $((1 + first + 2))
}
verdicts() { grep -oE '#p[0-9]+: (clean|damaged|not-audited|recoverable|repaired|unreadable)' "$work/output" | tr '\n' ' '; }

for kind in gpt dos; do
  case $kind in gpt) tool=sgdisk ;; dos) tool=sfdisk ;; esac
  command -v $tool >/dev/null || { echo "no $tool: no $kind disk is tried"; continue; }
  disk $kind "$work/disk.img"
  expect 4 "$extscrub" audit "$work/disk.img"
  [ "$(verdicts)" = "#p1: clean #p2: not-audited #p3: damaged " ] || { fail "$kind: verdicts $(verdicts)"; cat "$work/output" >&2; }
  expect 0 "$extscrub" audit --partition 1 "$work/disk.img"
  expect 4 "$extscrub" audit --partition 3 "$work/disk.img"
  expect 8 "$extscrub" audit --partition 2 "$work/disk.img"
  expect 8 "$extscrub" audit --partition 7 "$work/disk.img"
  grep -q "no partition 7" "$work/output" || fail "$kind: a partition that is not there is not named"

  # The damaged one is found by a backup superblock too, and each partition is mended where it lies.
  dd if=/dev/zero of="$work/disk.img" bs=1024 seek=$(((1 + first + 2) * 1024 + 1)) count=1 conv=notrunc status=none
  cp "$work/disk.img" "$work/before.img"
  expect 4 "$extscrub" audit "$work/disk.img"
  [ "$(verdicts)" = "#p1: clean #p2: not-audited #p3: damaged " ] || fail "$kind: without the superblock: $(verdicts)"
  expect 5 "$extscrub" scrub --repair=all "$work/disk.img"
  expect 4 "$extscrub" audit "$work/disk.img"
  [ "$(verdicts)" = "#p1: clean #p2: not-audited #p3: clean " ] || fail "$kind: after the scrub: $(verdicts)"
  cmp -s -n $(((1 + first + 2) << 20)) "$work/before.img" "$work/disk.img" || fail "$kind: the scrub wrote into another partition"
  dd if="$work/disk.img" of="$work/part.img" bs=1M skip=$((1 + first + 2)) count="$third" status=none
  expect 0 e2fsck -fn "$work/part.img"
  expect 0 "$extscrub" undo "$work/disk.img".extscrub-undo-* "$work/disk.img"
  cmp "$work/before.img" "$work/disk.img" || fail "$kind: undo does not give the old bytes back"
  rm -f "$work"/disk.img.extscrub-*
done

# Compressed, the whole disk too; what is not whole says so, and a scrub refuses what it cannot write to.
for packer in zstd gzip xz; do
  command -v $packer >/dev/null || { echo "no $packer"; continue; }
  case $packer in zstd) name=zst ;; gzip) name=gz ;; xz) name=xz ;; esac
  $packer -c -1 "$work/sound.img" >"$work/sound.img.$name"
  before=$(sha256sum <"$work/sound.img.$name")
  expect 0 "$extscrub" audit "$work/sound.img.$name"
  grep -q "sound.img.$name: clean" "$work/output" || fail "$packer: no verdict clean"
  expect 8 "$extscrub" scrub "$work/sound.img.$name"
  grep -q "compressed" "$work/output" || fail "$packer: the scrub does not say why"
  head -c $(($(stat -c %s "$work/sound.img.$name") / 2)) "$work/sound.img.$name" >"$work/short.$name"
  expect 8 "$extscrub" audit "$work/short.$name"
  [ "$before" = "$(sha256sum <"$work/sound.img.$name")" ] || fail "$packer: the file changed"
done
if [ -e "$work/disk.img" ] && command -v zstd >/dev/null; then
  zstd -q -1 "$work/disk.img" -o "$work/disk.img.zst"
  expect 4 "$extscrub" audit "$work/disk.img.zst"
  [ "$(verdicts)" = "#p1: clean #p2: not-audited #p3: damaged " ] || fail "compressed disk: $(verdicts)"
fi

# Lists, by name and on standard input, with any character in a name.
odd=$work/$'two\nlines.img'
cp "$work/sound.img" "$odd"
printf '%s\n' "$work/sound.img" "$work/spoilt.img" >"$work/list"
expect 4 "$extscrub" audit --files-from "$work/list"
[ "$(grep -cE ': (clean|damaged)' "$work/output")" = 2 ] || fail "--files-from: not two verdicts"
expect 0 "$extscrub" audit - <<<"$work/sound.img"
printf '%s\0' "$odd" >"$work/list0"
expect 0 "$extscrub" audit --null --files-from "$work/list0"
expect 16 "$extscrub" audit --files-from /dev/null
expect 8 "$extscrub" audit --files-from "$work/none"
conclude
