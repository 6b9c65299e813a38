#!/bin/bash
# Real write errors, through FUSE: every write of a scrub fails in turn, alone or with all that follow. Never may the
# image say clean while it is damaged, nor the exit status be that of success.
. "$(dirname "$0")/../support/scenario.sh"
need_shared tools/fault-sweep
[ -w /dev/fuse ] && command -v fusermount3 >/dev/null || skip "needs FUSE"
pkg-config --exists fuse3 || skip "needs libfuse3-dev"
# shellcheck disable=SC2046
cc -O2 -o "$work/faultfile" "$shared/tools/faultfile.c" $(pkg-config --cflags --libs fuse3) -lpthread
make_image ext4-1k "$work/spoilt.img"
spoil "$work/spoilt.img"
"$shared/tools/fault-sweep" --faultfile "$work/faultfile" --modes fail-write,fail-writes-from --max "${SWEEP_MAX:-12}" \
  "$work/spoilt.img" -- "$extscrub" scrub
