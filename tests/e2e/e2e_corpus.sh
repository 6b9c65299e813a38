#!/bin/bash
# Every image of the corpus is audited, or scrubbed with --repair=all: the wrong ones must be those of the list, no more
# and no fewer.
#   e2e_corpus.sh EXTSCRUB [audit|scrub] [--update]   with --update, writes the list anew
. "$(dirname "$0")/../support/scenario.sh"
need_shared corpus/MANIFEST.tsv
mode=${2:-audit}
list=$source/tests/e2e/corpus_${mode}_expected.txt
"$shared/tools/corpus" --mode "$mode" "$extscrub" "$shared/corpus" >"$work/report" || :
tail -1 "$work/report"
grep -qE "$mode [0-9]+/[0-9]+ right" "$work/report" || { cat "$work/report"; fail "the corpus tool did not finish"; conclude; }
sed -nE "s/^FAIL $mode +[a-z]+ +([^:]+):.*/\1/p" "$work/report" | sort >"$work/wrong"
if [ "${3:-}" = --update ]; then
  { grep '^#' "$list"; cat "$work/wrong"; } >"$work/list"
  cp "$work/list" "$list"
  exit 0
fi
grep -vE '^#|^$' "$list" | sort >"$work/expected" || :
while read -r name; do
  fail "$name: $(grep -F " $name: " "$work/report")"
done < <(comm -23 "$work/wrong" "$work/expected")
while read -r name; do
  fail "$name is done rightly now: take it off $list"
done < <(comm -13 "$work/wrong" "$work/expected")
# Whatever the verdict: an audit never crashes, hangs, or changes an image.
grep -q 'crashes 0$' "$work/report" || fail "crashes: $(tail -1 "$work/report")"
grep 'IMAGE CHANGED' "$work/report" >&2 && fail "an audit changed an image"
conclude
