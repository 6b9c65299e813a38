#!/bin/bash
# Images that the kernel has filled, one per feature set: clean for the audit, and untouched by a scrub.
. "$(dirname "$0")/../support/scenario.sh"
need_root
need_shared tools/make-images
unset MKE2FS_CONFIG # as on a user's machine
"$shared/tools/make-images" "$work/images" 1 >"$work/log" 2>&1 || { cat "$work/log"; skip "cannot make the images here"; }
shopt -s nullglob
images=("$work"/images/clean/*.img)
[ ${#images[@]} -ge 20 ] || skip "only ${#images[@]} images could be made: $(tail -1 "$work/log")"
for image in "${images[@]}"; do
  before=$(sha256sum <"$image")
  expect 0 "$extscrub" audit "$image"
  expect 0 "$extscrub" scrub "$image"
  [ "$before" = "$(sha256sum <"$image")" ] || fail "$(basename "$image") was changed"
done
echo "${#images[@]} images"
conclude
