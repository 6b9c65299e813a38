#!/bin/bash
# A real lost write: the kernel has a file system mounted, and the device says "done" to the checkpoint's write of one block and
# drops it. After the unmount the audit names the block, and the scrub brings back what was written.
. "$(dirname "$0")/../support/scenario.sh"
. "$source/tests/support/losing.sh"
cd "$work"

# one NAME MKE2FS_OPTIONS BLOCK_OF...: what is lost is the block that the command says.
one() {
  local name=$1 options=$2 size block
  shift 2
  rm -f image
  # shellcheck disable=SC2086
  mke2fs -q $options image 32M >/dev/null 2>&1
  size=$(dumpe2fs -h image 2>/dev/null | sed -n 's/^Block size: *//p')
  lose "$size"
  serve image
  mount_served
  mkdir fs/dir
  for i in $(seq 30); do echo "as it was: $i" >"fs/dir/file$i"; done
  unmount_served

  block=$("$@")
  lose "$size" "$block"
  mount_served
  echo "as it is, and longer" >fs/dir/file7
  chmod 600 fs/dir/file8
  rm fs/dir/file20
  mkdir fs/dir/new
  seq 2000 >fs/dir/new/numbers
  mv fs/dir/file9 fs/dir/moved
  tell >written
  unmount_served
  stop_serving
  has_lost "$size" "$block" || fail "$name: the kernel has not written block $block"

  expect 4 "$extscrub" audit --verbose image
  grep 'metadata-write-lost' output >found || { fail "$name: no lost write in the audit"; cat output >&2; }
  grep -qw "$block" found || { fail "$name: not block $block"; cat found >&2; }
  expect 1 "$extscrub" scrub image
  expect 0 e2fsck -fn image
  expect 0 "$extscrub" audit image
  need_mount -o loop image fs
  tell >there
  umount fs; mounted=()
  diff written there >difference || { fail "$name: what was written is not there"; head -20 difference >&2; }
}

one 'inode table' '-t ext4' table_block image /dir/file8
one 'directory' '-t ext4' data_block image /dir 0
one 'inode table without checksums' '-t ext3 -b 1024' table_block image /dir/file8
one 'directory of small blocks' '-t ext4 -b 1024' data_block image /dir 0
conclude
