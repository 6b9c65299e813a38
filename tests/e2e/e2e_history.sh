#!/bin/bash
# The history of an image that the kernel has filled, one step a transaction, over several mounts: it has to tell what was done.
. "$(dirname "$0")/../support/scenario.sh"
cd "$work"
need_root
mkdir mnt
step() { "$@"; sync -f mnt; }

for set in '-t ext4' '-t ext4 -b 1024 -O ^metadata_csum,^64bit' '-t ext3 -b 1024' '-t ext4 -O fast_commit'; do
  rm -f image.img
  # shellcheck disable=SC2086
  mke2fs -q $set image.img 32M >/dev/null 2>&1
  need_mount -o loop image.img mnt
  step mkdir mnt/dir
  step cp /dev/null mnt/dir/file
  step truncate -s 4321 mnt/dir/file
  step chmod 640 mnt/dir/file
  umount mnt; mounted=()
  need_mount -o loop image.img mnt
  step touch mnt/dir/short
  step mv mnt/dir/short mnt/dir/long
  step rm mnt/dir/long
  step chown 1234 mnt/dir/file
  umount mnt; mounted=()
  inode=$(debugfs -R 'stat /dir/file' image.img 2>/dev/null | sed -n 's/^Inode: \([0-9]*\) .*/\1/p')
  sha256sum image.img >before

  expect 0 "$extscrub" history --path /dir/file image.img
  cp output file
  for wanted in "inode $inode: i_size: 0 -> 4321" "inode $inode: i_mode: 0100644 -> 0100640" "inode $inode: i_uid: 0 -> 1234" \
    'in place: as before' 'the oldest that is left'; do
    grep -qF "$wanted" file || { fail "$set: the history of a file has no $wanted"; cat file >&2; }
  done
  expect 0 "$extscrub" history --inode "$inode" image.img
  cmp file output || fail "$set: by its number a file has another history"

  expect 0 "$extscrub" history --path /dir image.img
  tr '\n' ' ' <output >directory
  [[ $(<directory) =~ 'name file: inode '$inode.*'name short: inode '.*'name long: inode '.*'name short: inode '[0-9]+', gone'.*'name long: inode '[0-9]+', gone' ]] ||
    { fail "$set: the history of a directory"; cat output >&2; }

  # As many transactions, copies and blocks as debugfs finds by another way.
  expect 0 "$extscrub" history --format=json --output all.json image.img
  debugfs -R 'logdump -a -O' image.img >dump 2>/dev/null
  python3 - all.json dump <<'PY' || fail "$set: not the transactions of debugfs"
import json, re, sys
image = json.load(open(sys.argv[1]))['images'][0]
history, copies, sequence = image['history'], set(), None
for line in open(sys.argv[2]):
    if found := re.match(r'Found (?:expected )?sequence (\d+), type', line):
        sequence = int(found[1])
    if found := re.search(r'FS block (\d+) logged at (?:sequence \d+, )?journal block (\d+)', line):
        copies.add((sequence, int(found[1]), int(found[2])))
assert image['verdict'] is None and image['exit_status'] == 0
assert [t['sequence'] for t in history['transactions'] if t['blocks']] == sorted({s for s, _, _ in copies}), history['transactions']
assert history['versions'] == len(copies) and history['blocks'] == len({b for _, b, _ in copies})
assert all(t['unbroken'] for t in history['transactions'])
PY
  first=$(dumpe2fs -h image.img 2>/dev/null | sed -n 's/^First block: *//p')
  expect 0 "$extscrub" history --block "$first" image.img
  grep -q '^      s_free_inodes_count: [0-9]* -> [0-9]*$' output || { fail "$set: the history of the superblock"; cat output >&2; }

  # Every block but the superblock is as it was logged last.
  for block in $(sed -n 's/.*FS block \([0-9]*\) logged.*/\1/p' dump | sort -un | tail -n +2); do
    "$extscrub" history --block "$block" image.img >block
    grep -q '^    in place: as before$' block || grep -q revoked block || { fail "$set: block $block is not as it was logged last"; cat block >&2; }
  done
  sha256sum --quiet -c before || fail "$set: the image was written to"
done

# What is opened as an image is opened here too.
zstd -q -c image.img >image.img.zst 2>/dev/null || gzip -c image.img >image.img.gz
"$extscrub" history --path /dir/file image.img | grep -v '^image.img' >plain
"$extscrub" history --path /dir/file image.img.* | grep -v '^image.img' >unpacked
cmp plain unpacked || fail "a compressed image has another history"
if command -v sgdisk >/dev/null; then
  truncate -s 40M disk.img
  sgdisk -n 1:2048:+32M disk.img >/dev/null 2>&1
  dd if=image.img of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
  "$extscrub" history --path /dir/file disk.img | grep -v '^disk.img' >partition
  cmp plain partition || fail "a partition has another history"
fi

# A log that waits is history as soon as it is replayed, which happens in memory.
printf '%s\n' 'jo' 'jw -b 3000 /dev/zero' 'jc' | debugfs -w -f /dev/stdin image.img >/dev/null 2>&1
expect 0 "$extscrub" history --block 3000 image.img
grep -q 'transaction .*: the oldest that is left' output || fail "a log that waits has no history"

expect 8 "$extscrub" history --path /dir/none image.img
grep -q 'there is no /dir/none' output || fail "no word of a path that is not there"
expect 8 "$extscrub" history --path /dir/file/x image.img
expect 8 "$extscrub" history --inode 4000000000 image.img
expect 8 "$extscrub" history --block 4000000000 image.img
expect 16 "$extscrub" history image.img image.img
mke2fs -q -t ext2 none.img 8M >/dev/null 2>&1
expect 0 "$extscrub" history --path / none.img
grep -q 'no history (the file system has no journal)' output || fail "no word of a journal that is not there"
conclude
