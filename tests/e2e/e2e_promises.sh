#!/bin/bash
# What an audit promises of a scrub, the scrub does, to the line: on every image of the corpus.
. "$(dirname "$0")/../support/scenario.sh"
need_shared corpus/MANIFEST.tsv
"$source/tests/e2e/promises.py" "$extscrub" "$shared/corpus" >"$work/report" || { cat "$work/report" >&2; fail "promises are not kept"; }
tail -1 "$work/report"
grep -qE '^images [0-9]{3}, promises [0-9]{3}' "$work/report" || fail "too few images, or promises"
conclude
