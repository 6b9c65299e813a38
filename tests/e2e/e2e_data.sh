#!/bin/bash
# Files on a disk that has lost blocks: read errors for real, from FUSE; and the same blocks by the lists of badblocks
# and ddrescue, without reading. All name the same files and bytes.
. "$(dirname "$0")/../support/scenario.sh"
image=$work/image
make_image ext4-4k "$image"
block_of() { debugfs -R "bmap $1 $2" "$image" 2>/dev/null; }
first=$(block_of /big 5) second=$(block_of /dir/file40 0) directory=$(block_of /many 0)
[ -n "$first" ] && [ -n "$second" ] && [ -n "$directory" ] || fail "no blocks: $first, $second, $directory"

expect 0 "$extscrub" audit --data "$image"

# found OPTION... IMAGE: what the audit finds, a line a finding; but for files that have no name any more, because their
# directory cannot be read.
found() {
  expect 12 "$extscrub" audit --format=json --output "$work/report" "$@"
  python3 - "$work/report" <<'PYTHON'
import json, sys
for f in json.load(open(sys.argv[1]))['images'][0]['findings']:
    if f['code'] != 'inode-unattached':
        print(f['code'], f['path'], f['block'], f['block_count'], f['found'] if f['code'] == 'data-unreadable' else '')
PYTHON
}
size=$(debugfs -R 'stat /dir/file40' "$image" 2>/dev/null | sed -nE 's/.*Size: ([0-9]+).*/\1/p' | head -1)
last=$(((size < 4096 ? size : 4096) - 1))
sort >"$work/wanted" <<FINDINGS
data-unreadable /big $first 1 bytes 20480-24575
data-unreadable /dir/file40 $second 1 bytes 0-$last
read-error /many $directory 1 
FINDINGS
check() { sort "$work/found" | diff "$work/wanted" - >&2 || fail "$1: other findings"; }

printf '%s\n' "$first" "$second" "$directory" >"$work/list"
found --bad-blocks "$work/list" "$image" >"$work/found"
check "--bad-blocks"
for block in "$first" "$second" "$directory"; do echo $((block * 8 + 3)); done >"$work/list"
found --bad-blocks "$work/list" --bad-block-size 512 "$image" >"$work/found"
check "--bad-block-size"
{
  echo '# Mapfile. Created by GNU ddrescue version 1.27'
  echo '0x0 + 1'
  for block in "$first" "$second" "$directory"; do printf '0x%08X  0x00001000  -\n' $((block * 4096)); done
} >"$work/map"
found --ddrescue-map "$work/map" "$image" >"$work/found"
check "--ddrescue-map"

# The program itself, where it is: of an image without errors all is there.
if command -v ddrescue >/dev/null; then
  ddrescue -q "$image" "$work/copy" "$work/copy.map"
  expect 0 "$extscrub" audit --ddrescue-map "$work/copy.map" "$work/copy"
fi

[ -w /dev/fuse ] && command -v fusermount3 >/dev/null || skip "read errors need FUSE; the lists are right"
pkg-config --exists fuse3 && [ -e "$shared/tools/faultfile.c" ] || skip "read errors need libfuse3-dev and faultfile.c; the lists are right"
# shellcheck disable=SC2046
cc -O2 -o "$work/faultfile" "$shared/tools/faultfile.c" $(pkg-config --cflags --libs fuse3) -lpthread
mkdir "$work/mnt"
faults=()
for block in "$first" "$second" "$directory"; do faults+=("--fail-read-range=$((block * 4096 + 512)):512"); done
"$work/faultfile" "${faults[@]}" "$image" "$work/mnt" &
served=$!
for _ in $(seq 50); do [ -e "$work/mnt/image" ] && break; sleep 0.1; done
[ -e "$work/mnt/image" ] || skip "FUSE is refused here"
mounted+=("$work/mnt")
found --data "$work/mnt/image" >"$work/found"
check "--data"
# Without --data nobody notices but for the directory.
found "$work/mnt/image" | cut -d' ' -f1,2 >"$work/found"
[ "$(sort -u "$work/found")" = "read-error /many" ] || fail "without --data: $(cat "$work/found")"
fusermount3 -u "$work/mnt"
wait $served || :
conclude
