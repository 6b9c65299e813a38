#!/bin/bash
# One image, one report: --jobs 1 and --jobs 8 print the same text and the same JSON but for times and rates.
. "$(dirname "$0")/support/scenario.sh"
for set in ext4-1k ext2-1k ext4-4k ext4-bigalloc; do
  image=$work/$set.img
  make_image "$set" "$image"
  spoil "$image"
  for format in text json; do
    for jobs in 1 8; do
      expect 4 "$extscrub" audit --format="$format" --jobs "$jobs" --output "$work/$jobs.$format" "$image"
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
    diff -u "$work/1.$format.plain" "$work/8.$format.plain" >&2 || fail "$set: the $format reports differ"
  done
  grep -q block-bitmap-mismatch "$work/1.text.plain" || fail "$set: the report does not name the damage"
  grep -q block-bitmap-mismatch "$work/1.json.plain" || fail "$set: the JSON does not name the damage"
done
conclude
