# Sourced behind scenario.sh by what loses real writes: a file system that the kernel has mounted from a file that says "done" and
# drops the writes of certain blocks.
# shellcheck shell=bash disable=SC2154
need_root
if [ ! -w /dev/fuse ] || ! command -v fusermount3 >/dev/null; then skip "needs FUSE"; fi
pkg-config --exists fuse3 || skip "needs libfuse3-dev"
# shellcheck disable=SC2046
cc -O1 -o "$work/losing_file" "$source/tests/support/losing_file.c" $(pkg-config --cflags --libs fuse3)
mkdir "$work/below" "$work/fs"

# serve IMAGE: as $work/below/image.
serve() {
  "$work/losing_file" "$1" "$work/below" "$work/lost" >>"$work/dropped" &
  served=$!
  for _ in $(seq 50); do [ -e "$work/below/image" ] && break; sleep 0.1; done
  [ -e "$work/below/image" ] || skip "FUSE is refused here"
  mounted+=("$work/below")
}
stop_serving() {
  local i
  for ((i = 0; i < 50; i++)); do fusermount3 -u "$work/below" 2>/dev/null && break; sleep 0.1; done
  wait "$served" || :
  mounted=()
}

# From now on no write of these blocks, of SIZE bytes, gets through: lose SIZE BLOCK...; without blocks, all do.
lose() {
  local size=$1 block
  shift
  : >"$work/dropped"
  for block; do echo $((block * size)) "$size"; done >"$work/lost"
}
has_lost() { grep -q "^lost $(($2 * $1)) $1\$" "$work/dropped"; }

mount_served() { need_mount -o loop "$work/below/image" "$work/fs"; }
unmount_served() {
  umount "$work/fs"
  unset 'mounted[-1]'
}

# Everything that the mounted file system says of itself, but for times of access.
tell() { (cd "$work/fs" && find . -path ./lost+found -prune -o -printf '%p %y %m %U:%G %n %s %l %T@ %C@\n' | sort && find . -type f -exec sha256sum {} + | sort); }

table_block() { debugfs -R "imap $2" "$1" 2>/dev/null | sed -n 's/.*located at block \([0-9]*\),.*/\1/p'; }
data_block() { debugfs -R "bmap $2 $3" "$1" 2>/dev/null; }
