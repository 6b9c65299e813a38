#!/bin/bash
# The story of the kernel's patch "ext4: mark filesystem error if failed to async write metadata", in three mounts: a write of
# metadata fails in the background and nobody hears of it; the old block is read back by the next mount, without an error; it is
# changed, and written out again. Now the newest copy in the log is of the wrong line, and is what lies in place. What the history
# still proves is told, what it cannot prove is not claimed, and the scrub ends on a sound file system.
. "$(dirname "$0")/../support/scenario.sh"
. "$source/tests/support/losing.sh"
cd "$work"
say() { printf '\n== %s\n' "$*"; }

mke2fs -q -t ext4 image 32M >/dev/null 2>&1
size=4096
lose $size
serve image

say 'Monday: the kernel makes a directory with some files, and unmounts. All is well.'
mount_served
mkdir fs/dir
for i in 1 2 3 4; do echo "of Monday" >fs/dir/file$i; done
unmount_served
block=$(table_block image /dir/file1)
expect 0 e2fsck -fn image

say "Tuesday: a file is written, another made. The write of block $block, of the inode table, is lost below: the device says done."
lose $size "$block"
mount_served
echo "of Tuesday, which is longer" >fs/dir/file1
echo "new on Tuesday" >fs/dir/new
tuesday=$(stat -c %s fs/dir/file1)
unmount_served
has_lost $size "$block" || fail "the kernel has not written block $block"
cp --sparse=always image tuesday.img

say 'What there was to see on Tuesday evening: the log has what should be there.'
status_of "$extscrub" audit --verbose tuesday.img
grep 'metadata-write-lost' output || { fail "on Tuesday it could have been told"; cat output >&2; }

say 'Wednesday: the old block is read back, a file of it is changed, and the block is written. This time the write arrives.'
lose $size
mount_served
[ "$(stat -c %s fs/dir/file1)" != "$tuesday" ] || fail "the old block was not read back"
chmod 600 fs/dir/file2
unmount_served
stop_serving

say "What the log still has of block $block. In its newest version the inodes go back to what they were on Monday:"
expect 0 "$extscrub" history --block "$block" image
cat output
versions=$(grep -c '^ *transaction' output) || :
grep -q 'in place: as before' output || fail "the newest copy is not what lies in place"
if [ "$versions" -ge 3 ]; then
  for change in ".* -> $tuesday" "$tuesday -> .*"; do
    grep -q "i_size: $change" output || fail "the history has lost what was written on Tuesday"
  done
else
  echo "(This kernel begins the log again with every mount, and has written over the rest.)"
fi

say 'The audit. The block is as it was logged last: that a write of it was lost before is not claimed, what does not fit is found.'
status_of "$extscrub" audit --verbose image
cat output
[ "$status" = 4 ] || fail "the audit ends with $status"
! grep 'metadata-write-lost' output | grep -qw "$block" || fail "it is claimed that the last write of block $block was lost"
! grep -q 'metadata-block-misplaced' output || fail "something is claimed to be misplaced"

say 'The scrub.'
status_of "$extscrub" scrub image
cat output
[ "$status" = 1 ] || fail "the scrub ends with $status"
expect 0 e2fsck -fn image
expect 0 "$extscrub" audit image
need_mount -o loop image fs
[ "$(stat -c %a fs/dir/file2)" = 600 ] || fail "what was written on Wednesday is gone"
grep -q Monday fs/dir/file3 || fail "what nobody touched is gone"
umount fs; mounted=()

say 'Had somebody asked on Tuesday evening, nothing would be lost.'
expect 1 "$extscrub" scrub tuesday.img
expect 0 e2fsck -fn tuesday.img
need_mount -o loop tuesday.img fs
[ "$(cat fs/dir/file1 fs/dir/new)" = "$(printf 'of Tuesday, which is longer\nnew on Tuesday')" ] || fail "what was written on Tuesday did not come back"
umount fs; mounted=()
conclude
