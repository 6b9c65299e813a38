#!/bin/bash
# Files that are not what they should be, wherever an option names one: a FIFO, a device, a socket, a directory, a link. No run
# hangs, none ends in an internal error, and each says in a line what is wrong. Then: where files may not grow, and reports
# that go to a descriptor.
. "$(dirname "$0")/../support/scenario.sh"
cd "$work"
make_image ext4-1k sound.img
cp --sparse=always sound.img spoilt.img
spoil spoilt.img
mkfifo fifo
mkdir folder
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
"$extscrub" scrub --dry-run --format=json spoilt.img >plan.json || :
list=list plan=plan.json
echo sound.img >list

# says WANTED TEXT ARGUMENTS...: exit status and the only line on standard error, within 20 s.
says() {
  local wanted=$1 text=$2; shift 2
  status=0
  timeout -k 5 20 "$extscrub" "$@" >output 2>error || status=$?
  [ "$status" = "$wanted" ] || { fail "exit $status, not $wanted: $*"; cat error >&2; }
  [ "$(wc -l <error)" = 1 ] && grep -qF -- "$text" error || { fail "does not say \"$text\": $*"; cat error >&2; }
}

for kind in "fifo:a FIFO" "folder:a directory" "socket:a socket" "/dev/zero:a character device"; do
  file=${kind%%:*} what="it is ${kind#*:}"
  says 8 "$what" scrub --plan "$file" spoilt.img
  says 8 "$what" audit --files-from "$file"
  says 8 "$what" audit --bad-blocks "$file" sound.img
  says 8 "$what" audit --ddrescue-map "$file" sound.img
  [ "$file" = /dev/zero ] || says 8 "$what" audit --metrics "$file" sound.img
done
says 8 "it is a directory" audit --output folder sound.img
says 8 "it is a socket" audit --output socket sound.img
says 8 "nobody reads from this FIFO" audit --output fifo sound.img
for file in fifo folder socket /dev/zero; do
  says 8 "$file" audit "$file"
  says 8 "$file" audit --journal "$file" sound.img
  says 8 "$file" undo "$file" sound.img
done
cp --sparse=always spoilt.img image.img
for file in fifo folder; do says 12 "$file" scrub --undo-file "$file" image.img; done
cmp -s spoilt.img image.img || fail "a scrub without its undo file wrote"

# The shell's pipes, and standard input, are lists like any other.
expect 0 "$extscrub" audit --files-from <(cat list)
expect 0 "$extscrub" audit --files-from /dev/stdin <list
expect 0 "$extscrub" audit - < <(cat list)
expect 0 "$extscrub" audit --bad-blocks <(echo 1000000) sound.img
expect 4 "$extscrub" scrub --dry-run --plan <(cat plan.json) spoilt.img
expect 0 "$extscrub" audit --bad-blocks /dev/null sound.img

# A list that never ends is waited for until somebody stops the run.
exec 9<>fifo
for list in "--files-from /dev/fd/9" "- <&9" "--bad-blocks /dev/fd/9 sound.img"; do
  eval "exec \"$extscrub\" audit $list" >output 2>&1 &
  run=$!
  sleep 1
  kill "$run"
  for ((i = 0; i < 50; i++)); do kill -0 "$run" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$run" 2>/dev/null && fail "SIGTERM does not end the wait: audit $list"
  status=0; wait "$run" || status=$?
  [ "$status" = 32 ] && grep -q cancelled output || { fail "exit $status, not 32: audit $list"; cat output >&2; }
done
exec 9<&-

# In the state: each is one warning, and all images are audited.
mkdir -m 700 state
expect 0 "$extscrub" audit --state state sound.img
name=$(basename state/*.json)
echo precious >precious
for kind in fifo directory link; do
  rm -rf "state/$name"
  case $kind in
    fifo) mkfifo "state/$name" ;;
    directory) mkdir "state/$name" ;;
    link) ln -s "$work/precious" "state/$name" ;;
  esac
  status=0
  timeout -k 5 20 "$extscrub" audit --state state sound.img spoilt.img >output 2>error || status=$?
  [ "$status" = 4 ] && [ "$(wc -l <error)" = 1 ] && grep -q "^extscrub: warning: state .*$name: " error &&
    grep -q '^sound.img: clean' output && grep -q '^spoilt.img: damaged' output ||
    { fail "a $kind in the state: exit $status"; cat error output >&2; }
done
[ "$(cat precious)" = precious ] || fail "a link in the state was followed"
rm "state/$name"
chmod g+w state
says 0 'chmod go-w' audit --state state sound.img
[ ! -e "state/$name" ] || fail "a state that others may write to was used"

# No run writes over another of its files, by whatever name, nor makes what a later run takes for its own.
chmod g-w state
cp list list2; cp plan.json plan2; cp precious badblocks; ln -s badblocks alias
cksum sound.img spoilt.img image.img list2 plan2 badblocks state/* >before || :
same() { local text=$1; shift; says 16 "$text" "$@"; }
same '--output would replace --files-from list2' audit -o folder/../list2 --files-from list2
same '--metrics would replace --journal spoilt.img' audit --journal spoilt.img --metrics ./spoilt.img sound.img
same '--output would replace --bad-blocks badblocks' audit --bad-blocks badblocks -o alias sound.img
same '--output would replace --ddrescue-map badblocks' audit --ddrescue-map badblocks -o alias sound.img
same '--output would replace --plan plan2' scrub --plan plan2 -o plan2 image.img
same '--output would replace image sound.img' audit -o folder/../sound.img --files-from list
same '--output would replace --metrics x' audit -o ./x --metrics x sound.img
same '--metrics would replace --undo-file u' scrub --undo-file u --metrics "$work/u" image.img
same '--output would replace --undo-file folder/../u' scrub --undo-file folder/../u -o u image.img
same 'what is kept in --state state' audit --state state -o "state/$name" sound.img
same 'the record of failed writes to image image.img' audit -o image.img.extscrub-errored image.img
same 'the record of failed writes to image image.img' audit --state image.img.extscrub-errored image.img
same 'an undo file of image image.img' audit --metrics image.img.extscrub-undo-1 image.img
cksum sound.img spoilt.img image.img list2 plan2 badblocks state/* | cmp -s before - || fail "a run wrote over one of its files"
for file in x u image.img.extscrub-*; do [ ! -e "$file" ] || fail "$file was made"; done
expect 0 "$extscrub" audit -o /dev/null --metrics /dev/null sound.img

# Where files may not grow, writing fails, and nothing else.
(ulimit -f 1 && exec "$extscrub" audit --format=json -o report spoilt.img) >output 2>&1 && status=0 || status=$?
[ "$status" = 12 ] && grep -q 'report: cannot write: File too large' output || { fail "ulimit -f and a report: exit $status"; cat output >&2; }
[ -z "$(ls -d report* 2>/dev/null)" ] || fail "ulimit -f leaves a report"
(ulimit -f 1 && exec "$extscrub" scrub image.img) >output 2>&1 && status=0 || status=$?
[ "$status" = 12 ] && grep -q 'File too large' output || { fail "ulimit -f and a scrub: exit $status"; cat output >&2; }
cmp -s spoilt.img image.img || fail "ulimit -f: a scrub that could not save the old bytes wrote"
zstd -q sound.img -o sound.img.zst
(ulimit -f 1 && exec "$extscrub" audit sound.img.zst) >output 2>&1 && status=0 || status=$?
[ "$status" = 8 ] && grep -q 'File too large' output || { fail "ulimit -f and a compressed image: exit $status"; cat output >&2; }

# A descriptor takes the report from where it stands.
for name in /dev/stdout /dev/fd/1 /proc/self/fd/1; do
  echo before >file
  inode=$(stat -c %i file)
  "$extscrub" audit -o "$name" sound.img >>file
  [ "$(stat -c %i file)" = "$inode" ] && [ "$(cat file)" = $'before\nsound.img: clean' ] || { fail "-o $name"; cat file >&2; }
done
"$extscrub" audit --format=json -o /dev/stderr sound.img 2>file
python3 -c 'import json; json.load(open("file"))' || fail "-o /dev/stderr"
"$extscrub" audit --format=json -o >(cat >piped) sound.img
for ((i = 0; i < 50; i++)); do grep -qs '^}' piped && break; sleep 0.1; done
python3 -c 'import json; json.load(open("piped"))' || fail "-o >(cat)"
says 8 'descriptor 77 cannot be written to' audit -o /dev/fd/77 sound.img
conclude
