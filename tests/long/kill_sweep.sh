#!/bin/bash
# kill_sweep.sh EXTSCRUB [OPTIONS OF SCRUB...]: scrubs of a larger damaged image, killed at random moments (KILLS of them,
# 200; SEED makes them others). Whatever is left: it does not say clean while it is damaged; with the journal it is, behind
# a replay, what it was or wholly repaired, also for e2fsck; another scrub ends the repair; undo gives back every byte.
. "$(dirname "$0")/../support/scenario.sh"
shift
options=("$@")
kills=${KILLS:-200}
RANDOM=${SEED:-1}
shopt -s nullglob
image=$work/disk.img before=$work/before.img copy=$work/copy.img

make_image ext4-4k "$before"
spoil "$before"
# Something in every group, so that there is much to be written.
groups=$(dumpe2fs "$before" 2>/dev/null | grep -c '^Group ')
for ((g = 0; g < groups; g++)); do
  debugfs -w -R "setb $((g * 4096 + 3500)) $((g % 7 + 1))" "$before" >/dev/null 2>&1
done

# What an audit finds, but for what a commit itself writes into superblocks, and the totals there, which whoever finds
# that recovery is needed counts anew.
errors() {
  { "$extscrub" audit --format=json "$1" 2>/dev/null || :; } | python3 -c '
import json, sys
own = {"superblock-not-clean", "superblock-error-mark", "journal-error", "journal-needs-recovery",
       "superblock-free-blocks-count", "superblock-free-inodes-count"}
for f in json.load(sys.stdin)["images"][0]["findings"]:
    if f["severity"] == "error" and f["code"] not in own:
        print(f["code"], f["group"], f["inode"], f["block"], f["logical"], f["field"])'
}
says_clean() { # the superblock alone
  python3 -c '
import struct, sys
sb = open(sys.argv[1], "rb").read(2048)[1024:]
state, = struct.unpack_from("<H", sb, 0x3a)
incompat, = struct.unpack_from("<I", sb, 0x60)
sys.exit(0 if state & 1 and not state & 2 and not incompat & 4 else 1)' "$1"
}
is_sound() { e2fsck -fn "$1" >/dev/null 2>&1; }
fresh() { cp --sparse=always "$1" "$2"; }

errors "$before" >"$work/errors"
[ -s "$work/errors" ] || fail "the image is not damaged"
fresh "$before" "$image"
"$extscrub" scrub "${options[@]}" --format=json "$image" >"$work/report" || [ $? = 1 ] || fail "the scrub does not work without kills either"
is_sound "$image" || fail "the scrub does not mend the image"
read -r way total writing < <(python3 -c '
import json, sys
image = json.load(open(sys.argv[1]))["images"][0]
t = image["timings"]
print(image["writeback"]["way"], int(t["total_seconds"] * 1e6), int(t["writeback_seconds"] * 1e6))' "$work/report")
echo "way $way, $total us in all, $writing us of them for writing"

declare -A count=([untouched]=0 [as-before]=0 [by-replay]=0 [repaired]=0 [in-part]=0)
for ((kill = 1; kill <= kills; kill++)); do
  rm -f "$image".extscrub-*
  fresh "$before" "$image"
  # Every other kill falls into the time of writing, or about it.
  random=$((RANDOM * 32768 + RANDOM))
  if ((kill % 2)); then at=$((random % (total * 11 / 10))); else at=$((total - writing * 11 / 10 + random % (writing * 13 / 10))); fi
  ((at > 0)) || at=0
  "$extscrub" scrub "${options[@]}" "$image" >/dev/null 2>&1 &
  pid=$!
  sleep "$(printf '%d.%06d' $((at / 1000000)) $((at % 1000000)))"
  { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || :
  for ((i = 0; i < 200; i++)); do flock -n "$image" true && break; sleep 0.05; done
  what="kill $kill at $at us"

  [ "$(stat -c %s "$image")" = "$(stat -c %s "$before")" ] || fail "$what: the size changed"
  files=("$image".extscrub-undo-*)
  if cmp -s "$image" "$before"; then
    state=untouched
  else
    [ ${#files[@]} = 1 ] || fail "$what: written to, and no undo file"
    if says_clean "$image"; then is_sound "$image" || fail "$what: says clean and is damaged"; fi
    fresh "$image" "$copy"
    e2fsck -y -E journal_only "$copy" >/dev/null 2>&1 || :
    if is_sound "$image"; then state=repaired
    elif is_sound "$copy"; then state=by-replay
    elif errors "$copy" | cmp -s - "$work/errors"; then state=as-before
    else state=in-part; fi
    [ "$state" != in-part ] || [ "$way" = direct ] || fail "$what: neither as before nor repaired"
    if [ "$state" = by-replay ]; then
      fresh "$image" "$copy"
      e2fsck -p "$copy" >/dev/null 2>&1 || [ $? = 1 ] || fail "$what: e2fsck -p does not complete the replay"
      is_sound "$copy" || fail "$what: damaged behind e2fsck -p"
    fi
    fresh "$image" "$copy"
    "$extscrub" scrub --no-undo "$copy" >/dev/null 2>&1 || [ $? = 1 ] || fail "$what: cannot be scrubbed again"
    is_sound "$copy" || fail "$what: damaged behind another scrub"
    "$extscrub" undo "${files[0]}" "$image" >"$work/output" 2>&1 || fail "$what: undo: $(cat "$work/output")"
    cmp -s "$image" "$before" || fail "$what: undo does not give back the old bytes"
  fi
  count[$state]=$((count[$state] + 1))
done
for state in untouched as-before in-part by-replay repaired; do printf '%s %d, ' "$state" "${count[$state]}"; done
echo "$kills kills, $failures failures"
conclude
