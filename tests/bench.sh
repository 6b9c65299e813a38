#!/bin/bash
# bench.sh EXTSCRUB [FILES] [SIZE]: times `extscrub audit` against `e2fsck -fn` on an image made for it, both reading
# from the page cache, in turn. Prints medians of five runs. What it makes stays in build/bench/ for the next time.
set -euo pipefail
extscrub=$(realpath "$1") files=${2:-200000} size=${3:-8G}
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C E2FSCK_CONFIG=/dev/null BLKID_FILE=/dev/null
folder=$(dirname "$extscrub")/bench
image=$folder/$files-$size.img
mkdir -p "$folder"

if [ ! -e "$image" ]; then
  echo "making $image with $files files"
  tree=$(mktemp -d "$folder/tree.XXXXXX")
  trap 'rm -rf "$tree"; rm -f "$image.part"' EXIT
  # Small files, and one in ten with holes, which makes extents.
  python3 - "$tree" "$files" <<'PY'
import os, random, sys
root, count, rng = sys.argv[1], int(sys.argv[2]), random.Random(1)
made = 0
while made < count:
    folder = os.path.join(root, f'a{made % 37}', f'dir-{made}')
    os.makedirs(folder)
    for i in range(min(rng.choice([5, 20, 60, 150, 400]), count - made)):
        with open(os.path.join(folder, f'file-{rng.getrandbits(40):010x}.dat'), 'wb') as f:
            for run in range(rng.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 12])):
                f.seek(run * 16384)
                f.write(b'd' * 512)
        made += 1
PY
  truncate -s "$size" "$image.part"
  mke2fs -q -F -t ext4 -E lazy_itable_init=0 -d "$tree" "$image.part"
  mv "$image.part" "$image"
fi

# seconds NAME COMMAND...: runs it once, appends the wall time to NAME's list.
declare -A times status
seconds() {
  local name=$1 from to; shift
  from=$(date +%s%N)
  status[$name]=0
  "$@" >/dev/null 2>&1 </dev/null || status[$name]=$?
  to=$(date +%s%N)
  times[$name]+=" $(((to - from) / 1000000))"
}
peak() { /usr/bin/time -q -f %M "$@" 2>&1 >/dev/null </dev/null | tail -1; }
median() { tr ' ' '\n' <<<"${times[$1]}" | grep . | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

cat "$image" >/dev/null # into the page cache
for _ in 1 2 3 4 5; do
  seconds extscrub "$extscrub" audit "$image"
  seconds e2fsck e2fsck -fn "$image"
done
ours=$(median extscrub) theirs=$(median e2fsck)
printf '\n%-22s %10s %12s %6s\n' '' 'median ms' 'peak KiB' exit
printf '%-22s %10s %12s %6s\n' 'extscrub audit' "$ours" "$(peak "$extscrub" audit "$image")" "${status[extscrub]}"
printf '%-22s %10s %12s %6s\n' 'e2fsck -fn' "$theirs" "$(peak e2fsck -fn "$image")" "${status[e2fsck]}"
awk -v a="$theirs" -v b="$ours" 'BEGIN { if (b > 0) printf "\ne2fsck / extscrub: %.2f\n", a / b }'
echo "The audit does not read directories yet; e2fsck does."
[ "${status[extscrub]}" = "${status[e2fsck]}" ] || { echo "the two disagree on this image" >&2; exit 1; }
