#!/bin/bash
# make_image.sh NAME IMAGE [TREE]: a sound image of the feature set NAME (feature_sets.txt), holding TREE (made by
# make_tree.py when it is not given). The same name gives the same image but for a few times.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C TZ=GMT0 MKE2FS_CONFIG=$here/mke2fs.conf E2FSCK_CONFIG=/dev/null
name=$1 image=$2 tree=${3:-}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
read -r _ size options < <(grep "^$name " "$here/feature_sets.txt") || { echo "no feature set $name" >&2; exit 1; }
[ -n "$tree" ] || { tree=$work/tree; mkdir "$tree"; "$here/make_tree.py" "$tree"; }

uuid=6f0a4bd2-5c0e-4c7d-9a55-7d1f6f3f2b11
extended=hash_seed=$uuid # mke2fs takes the last -E only, so the set's own is joined to this one
if [[ $options =~ (.*)-E\ ([^ ]+)(.*) ]]; then
  options=${BASH_REMATCH[1]}${BASH_REMATCH[3]} extended+=,${BASH_REMATCH[2]}
fi
rm -f "$image"
# mke2fs warns of what the sets do on purpose (64 KiB blocks, 128-byte inodes): said only when it fails.
# shellcheck disable=SC2086  # the options are several words
mke2fs -q -F -N 4096 -U $uuid -L sample -E "$extended" -d "$tree" $options "$image" "$size" >"$work/log" 2>&1 ||
  { cat "$work/log" >&2; exit 1; }
# -d fills the image after the quota files were written, so those count an empty tree.
if [[ $options == *quota* ]]; then e2fsck -fy "$image" >"$work/log" 2>&1 || [ $? = 1 ]; fi
