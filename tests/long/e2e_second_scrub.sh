#!/bin/bash
# A second scrub writes nothing, on every image of the corpus, whatever the first one has left; and it says the same of
# what is left as an audit does.
. "$(dirname "$0")/../support/scenario.sh"
need_shared corpus/MANIFEST.tsv
command -v xxh128sum >/dev/null || skip "needs xxh128sum"

images=0
for packed in "$shared"/corpus/{clean,recover,corrupt,ambiguous,hopeless}/*.img*; do
  [ -e "$packed" ] || continue
  name=${packed#"$shared"/corpus/} image=$work/image.img
  rm -f "$image"
  case $packed in
    *.zst) zstd -dqf --sparse "$packed" -o "$image" ;;
    *) cp --sparse=always "$packed" "$image" ;;
  esac
  for policy in safe all; do
    status_of timeout 60 "$extscrub" scrub --repair=$policy --no-undo "$image"
    first=$status before=$(xxh128sum <"$image")
    status_of timeout 60 "$extscrub" scrub --repair=$policy --no-undo "$image"
    [ "$(xxh128sum <"$image")" = "$before" ] || fail "$name, --repair=$policy: the second scrub writes (exit $first, then $status)"
    # 1 is for what was corrected, and the second one has nothing to correct.
    [ "$status" = $((first & ~1)) ] || fail "$name, --repair=$policy: exit $first, and of the second scrub $status"
  done
  images=$((images + 1))
done
echo "$images images"
[ "$images" -ge 300 ] || fail "only $images images"
conclude
