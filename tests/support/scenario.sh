# Sourced by the e2e scripts, with the program as their first argument. Sets:
#   extscrub  the program      source  the repository's root      shared  tools and corpus beside it, which may be absent
#   work      a directory that goes away at the end
# shellcheck shell=bash disable=SC2034
set -euo pipefail

# In a mount namespace of its own, where that is allowed: another test that makes itself one would take along what is mounted
# here, and hold it when it is unmounted.
if [ -z "${EXTSCRUB_OWN_MOUNTS:-}" ] && [ "$(id -u)" = 0 ] && unshare -m --propagation private true 2>/dev/null; then
  EXTSCRUB_OWN_MOUNTS=yes exec unshare -m --propagation private "$BASH" "$0" "$@"
fi

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
shared=${EXTSCRUB_SHARED:-$source/../shared}
extscrub=$(realpath "${1:?path of extscrub}")
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C TZ=GMT0
export E2FSCK_CONFIG=/dev/null MKE2FS_CONFIG=$source/tests/support/mke2fs.conf BLKID_FILE=/dev/null

work=$(mktemp -d)
mounted=() # unmounted again at the end, last first
# A scenario that sets up more than files and mounts defines clean_up: it is called at the end, however that comes about,
# when nothing is mounted any more and $work is still there.
finish() {
  local status=$? i
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[i]}" 2>/dev/null || :; done
  if declare -F clean_up >/dev/null; then clean_up || :; fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

failures=0
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
conclude() { [ "$failures" = 0 ] || { echo "$failures failed" >&2; exit 1; }; }
skip() { echo "skipped: $*"; exit 77; }

need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
need_shared() { [ -e "$shared/$1" ] || skip "needs $1 of the shared folder, which is not here"; }
# `kind` at `directory`, or skip: a container may refuse it even to root.
need_mount() { mount "$@" 2>"$work/why" || skip "cannot mount: $(cat "$work/why")"; mounted+=("${*: -1}"); }

feature_sets() { awk '!/^#/ && NF { print $1 }' "$source/tests/support/feature_sets.txt"; }
make_image() { "$source/tests/support/make_image.sh" "$@"; }

# status_of COMMAND...: its exit status into $status, its output into $work/output.
status_of() { status=0; "$@" >"$work/output" 2>&1 || status=$?; }
# expect WANTED COMMAND...: fails, showing the output, when the exit status is another.
expect() {
  local wanted=$1; shift
  status_of "$@"
  [ "$status" = "$wanted" ] || { fail "exit $status, not $wanted: $*"; sed 's/^/  | /' "$work/output" | head -40 >&2; }
}

# Damage that safe repairs mend, in several block groups.
spoil() {
  local block
  block=$(debugfs -R 'bmap /big 3' "$1" 2>/dev/null)
  while read -r request; do debugfs -w -R "$request" "$1" >/dev/null 2>&1; done <<REQUESTS
freeb $block 2
setb 9000 50
freei /other
seti <900>
sif /three blocks 77
sif /dir/file4 dtime 12345
ssv free_blocks_count 5
ssv free_inodes_count 5
REQUESTS
}
