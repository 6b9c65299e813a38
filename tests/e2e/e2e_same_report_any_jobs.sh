#!/bin/bash
# One image, one report: --jobs 1 and --jobs 8 print the same text and the same JSON but for times and rates, also where there are
# more findings than are kept.
. "$(dirname "$0")/../support/scenario.sh"

# same_report IMAGE OPTIONS...
same_report() {
  local image=$1 format jobs; shift
  for format in text json; do
    for jobs in 1 8; do
      expect 4 "$extscrub" audit "$@" --format="$format" --jobs "$jobs" --output "$work/$jobs.$format" "$image"
    done
  done
  # Times are the only numbers with a unit of time or in fields named so.
  strip_text='s/[0-9.]+ ?(ms|s|MB\/s|MiB\/s|GB\/s|GiB\/s|inodes\/s)\b/TIME/g'
  for jobs in 1 8; do
    sed -E "$strip_text" "$work/$jobs.text" >"$work/$jobs.text.plain"
    python3 - "$work/$jobs.json" >"$work/$jobs.json.plain" <<'PY'
import json, sys
def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items()
                if not any(word in k for word in ('seconds', 'time', 'started', 'finished', 'rate', 'jobs'))}
    return [without_times(v) for v in value] if isinstance(value, list) else value
print(json.dumps(without_times(json.load(open(sys.argv[1]))), indent=1, sort_keys=True))
PY
  done
  for format in text json; do
    diff -u "$work/1.$format.plain" "$work/8.$format.plain" >"$work/diff" ||
      { fail "$image $*: the $format reports differ"; head -40 "$work/diff" >&2; }
  done
}

for set in ext4-1k ext2-1k ext4-4k ext4-bigalloc; do
  image=$work/$set.img
  make_image "$set" "$image"
  spoil "$image"
  same_report "$image"
  grep -q block-bitmap-mismatch "$work/1.text.plain" || fail "$set: the report does not name the damage"
  grep -q block-bitmap-mismatch "$work/1.json.plain" || fail "$set: the JSON does not name the damage"
done

# Noise over most of the inode tables.
image=$work/ext4-1k.img
dumpe2fs "$image" 2>/dev/null | sed -nE 's/.*Inode table at ([0-9]+)-([0-9]+).*/\1 \2/p' >"$work/tables"
python3 - "$image" "$work/tables" <<'PY'
import random, sys
random.seed(1)
with open(sys.argv[1], 'r+b') as image:
    for line in open(sys.argv[2]):
        first, last = map(int, line.split())
        image.seek((first + 8) * 1024)
        image.write(random.randbytes((last - first - 7) * 1024))
PY
same_report "$image"
total=$(python3 -c 'import json,sys; print(len(json.load(open(sys.argv[1]))["images"][0]["findings"]))' "$work/1.json")
last=$(tail -n 1 "$work/1.text")
for most in 50 3000; do
  same_report "$image" --max-findings "$most"
  [ "$(tail -n 1 "$work/1.text")" = "$last" ] || fail "--max-findings $most: $(tail -n 1 "$work/1.text"), and not $last"
  python3 - "$work/1.json" "$most" "$total" <<'PY' || fail "--max-findings $most: not what it should keep"
import json, sys
image = json.load(open(sys.argv[1]))['images'][0]
most, total = int(sys.argv[2]), int(sys.argv[3])
kept, past = len(image['findings']), sum(c['count'] for c in image['findings_past_limit'])
always = sum(f['code'] in ('read-error', 'image-truncated', 'group-inode-table-location', 'group-metadata-overlap', 'inodes-lost') for f in image['findings'])
print(f'{total} findings: {kept} kept, {past} counted')
sys.exit(not (kept <= most + always and kept + past >= total > most))
PY
done
conclude
