#!/bin/bash
# Every image of the corpus is audited: the wrong ones must be those of corpus_expected.txt, no more and no fewer.
#   e2e_corpus.sh EXTSCRUB [--update]   with --update, writes the list anew
. "$(dirname "$0")/support/scenario.sh"
need_shared corpus/MANIFEST.tsv
list=$source/tests/corpus_expected.txt
"$shared/tools/corpus" --mode audit "$extscrub" "$shared/corpus" >"$work/report" || :
tail -1 "$work/report"
grep -qE '^audit [0-9]+/[0-9]+ right' "$work/report" || { cat "$work/report"; fail "the corpus tool did not finish"; conclude; }
sed -nE 's/^FAIL audit +[a-z]+ +([^:]+):.*/\1/p' "$work/report" | sort >"$work/wrong"
if [ "${2:-}" = --update ]; then
  { grep '^#' "$list"; cat "$work/wrong"; } >"$work/list"
  cp "$work/list" "$list"
  exit 0
fi
grep -vE '^#|^$' "$list" | sort >"$work/expected" || :
while read -r name; do
  fail "$name: $(grep -F " $name: " "$work/report")"
done < <(comm -23 "$work/wrong" "$work/expected")
while read -r name; do
  fail "$name is judged rightly now: take it off corpus_expected.txt"
done < <(comm -13 "$work/wrong" "$work/expected")
# Whatever the verdict: an audit never crashes, hangs, or changes an image.
grep -q 'crashes 0$' "$work/report" || fail "crashes: $(tail -1 "$work/report")"
grep 'IMAGE CHANGED' "$work/report" >&2 && fail "an audit changed an image"
conclude
