#!/bin/bash
# A sound image of every feature set: the audit exits 0, and a scrub leaves every byte as it was.
. "$(dirname "$0")/../support/scenario.sh"
mkdir "$work/tree"; "$source/tests/support/make_tree.py" "$work/tree"
for set in $(feature_sets); do
  image=$work/$set.img
  make_image "$set" "$image" "$work/tree"
  cp --sparse=always "$image" "$work/before.img"
  expect 0 "$extscrub" audit "$image"
  cmp -s "$image" "$work/before.img" || fail "audit changed $set"
  expect 0 "$extscrub" scrub "$image"
  cmp -s "$image" "$work/before.img" || fail "scrub changed $set"
  # and what is spoilt is mended, for good
  spoil "$image"
  expect 4 "$extscrub" audit "$image"
  expect 1 "$extscrub" scrub "$image"
  expect 0 e2fsck -fn "$image"
  cp --sparse=always "$image" "$work/before.img"
  expect 0 "$extscrub" scrub "$image"
  cmp -s "$image" "$work/before.img" || fail "second scrub changed $set"
  rm -f "$image"
done
conclude
