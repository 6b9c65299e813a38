#!/bin/bash
# What a dry run says is what is written: of 50 damaged images, the blocks that change on disk are those of the plan (and
# the blocks of the log that it names), and what they become has the plan's hashes. The dry run itself changes nothing.
. "$(dirname "$0")/../support/scenario.sh"
need_shared corpus/MANIFEST.tsv
command -v xxh128sum >/dev/null || skip "needs xxh128sum"

# changed_blocks BEFORE AFTER SIZE: the numbers of the blocks that differ
changed_blocks() { cmp -l "$1" "$2" | awk -v size="$3" '{ print int(($1 - 1) / size) }' | sort -nu; }

images=0
for packed in "$shared"/corpus/corrupt/*.zst; do
  [ "$images" -lt 50 ] || break
  before=$work/before.img after=$work/after.img
  zstd -dqf --sparse "$packed" -o "$before"
  cp --sparse=always "$before" "$after"
  "$extscrub" scrub --dry-run --repair=all --format=json "$after" >"$work/plan.json" 2>/dev/null || :
  cmp -s "$before" "$after" || fail "$packed: the dry run wrote to the image"
  python3 - "$work/plan.json" "$work/log" >"$work/planned" <<'PYTHON'
import json, sys
image = json.load(open(sys.argv[1]))['images'][0]
repairs = image['repairs'] or {'blocks': [], 'commit': None}
for b in repairs['blocks']:
    print(b['block'], image['geometry']['block_size'], b['after'])
with open(sys.argv[2], 'w') as log:
    for run in (repairs['commit'] or {'log': []})['log']:
        for i in range(run['count']):
            print(run['block'] + i, file=log)
PYTHON
  [ -s "$work/planned" ] || continue
  images=$((images + 1))
  "$extscrub" scrub --plan "$work/plan.json" --no-undo "$after" >/dev/null 2>"$work/error" || [ $? -lt 8 ] ||
    fail "$packed: $(cat "$work/error")"
  size=$(awk '{ print $2; exit }' "$work/planned")
  [ "$(changed_blocks "$before" "$after" "$size" | { grep -vxFf "$work/log" || :; })" = "$(awk '{ print $1 }' "$work/planned")" ] ||
    fail "$packed: other blocks than the plan's were written"
  while read -r block _ hash; do
    is=$(dd if="$after" bs="$size" skip="$block" count=1 status=none | xxh128sum | cut -d' ' -f1)
    [ "$is" = "$hash" ] || fail "$packed: block $block is $is, not $hash"
  done <"$work/planned"
done
echo "$images images"
[ "$images" -ge 50 ] || fail "only $images images had a plan"
conclude
