#!/bin/bash
# A nightly job as cron runs it: over a directory of images, twice, with a new finding in between; mail is what it
# prints. And what such a job has besides: a low priority, a limited rate, a stop at the end of the night.
. "$(dirname "$0")/../support/scenario.sh"

images=$work/images state=$work/state
mkdir "$images"
for set in ext2-1k ext4-1k ext4-4k; do make_image "$set" "$images/$set.img"; done

# night WANTED OPTION...: the job; cron mails what it says, if anything, as $work/output.
night() {
  expect "$1" env -i PATH="$PATH" "$extscrub" audit --quiet --state "$state" "${@:2}" "$images"/*.img
}
mailed() { grep -qE "$1" "$work/output" || { fail "not in the mail: $1"; sed 's/^/  | /' "$work/output" >&2; }; }
no_mail() { [ ! -s "$work/output" ] || { fail "$1: a mail where there should be none"; sed 's/^/  | /' "$work/output" >&2; }; }

before=$(cat "$images"/*.img | sha256sum)
night 0
no_mail "the first night"
[ "$(find "$state" -type f | wc -l)" = 3 ] || fail "not one state file an image"
[ -z "$(find "$state" ! -perm 0600 -type f)" ] || fail "a state file that others may read"
night 0
no_mail "the second night"
[ "$before" = "$(cat "$images"/*.img | sha256sum)" ] || fail "an image changed"

debugfs -w -R 'sif /three blocks 77' "$images/ext4-1k.img" >/dev/null 2>&1
night 4
mailed "^$images/ext4-1k.img: damaged \(1 error; 1 new since 20[-0-9]+T[:0-9]+Z\)$"
[ "$(wc -l <"$work/output")" = 1 ] || fail "more than a line: $(cat "$work/output")"
night 4
mailed "^$images/ext4-1k.img: damaged \(1 error; nothing new since "
debugfs -w -R 'sif /other links_count 5' "$images/ext4-1k.img" >/dev/null 2>&1
expect 4 "$extscrub" audit --state "$state" "$images"/*.img
mailed '^ new since'
mailed 'inode-links-count'
mailed '^ known:'
mailed 'inode-blocks-count'
mailed "^$images/ext4-4k.img: clean$"

# The last night's state is damaged: a warning, and the night as good as any.
cp -r "$state" "$work/kept"
for file in "$state"/*; do head -c 100 "$file" >"$work/half"; cat "$work/half" >"$file"; done
night 4
mailed '^extscrub: warning: state '
mailed ': damaged \(2 errors\)$'
rm -r "$state"
mv "$work/kept" "$state"

# A scrub mends it; the nights are quiet again, and JSON has what is gone.
expect 1 "$extscrub" scrub --quiet --no-undo --state "$state" "$images"/*.img
mailed ': repaired \(2 errors; 2 repaired; nothing new since '
night 0
no_mail "after the scrub"

# bytes_read IMAGE: by an audit, by the kernel's count.
bytes_read() {
  bash -c '"$0" audit "$1" >/dev/null; sed -n "s/^rchar: //p" /proc/self/io' "$extscrub" "$1"
}

# A stop at the end of the night, in the middle of an image: the next night begins there. The first image takes some seconds.
night_with_resume=("$extscrub" audit --state "$state" --resume)
rate=$(($(bytes_read "$images/ext2-1k.img") / 4))
"${night_with_resume[@]}" --nice --max-rate $((rate > 65536 ? rate : 65536)) --jobs 3 "$images"/*.img >"$work/first" 2>"$work/messages" &
pid=$!
for _ in $(seq 600); do
  grep -q 'ext2-1k.img: clean' "$work/first" && break
  sleep 0.1
done
sleep 0.5
if command -v ionice >/dev/null && kill -0 $pid 2>/dev/null; then
  for task in /proc/$pid/task/*; do
    [ "$(awk '{ sub(/.*\) /, ""); print $17 }' "$task/stat")" = 19 ] || fail "thread ${task##*/} is not nice"
    [ "$(ionice -p "${task##*/}")" = idle ] || fail "thread ${task##*/} reads with priority $(ionice -p "${task##*/}")"
  done
  echo "$(ls "/proc/$pid/task" | wc -l) threads are nice"
fi
began=$SECONDS
kill -TERM $pid 2>/dev/null || fail "the run was over before it could be stopped: $(cat "$work/first")"
status=0
wait $pid || status=$?
[ $status = 32 ] || fail "a stopped run exits with $status"
[ $((SECONDS - began)) -le 60 ] || fail "a stop took $((SECONDS - began)) s"
grep -q 'ext4-1k.img: no verdict' "$work/first" || fail "it was not stopped in the second image: $(cat "$work/first")"
"${night_with_resume[@]}" "$images"/*.img >"$work/second" 2>"$work/messages" || fail "the next night failed"
grep -q ext2-1k "$work/second" && fail "an image was done twice"
[ "$(grep -c ': clean$' "$work/second")" = 2 ] || fail "not the rest was done: $(cat "$work/second")"
grep -q '1 of 3 images' "$work/messages" || fail "it does not say where it went on"
"${night_with_resume[@]}" "$images"/*.img >"$work/third"
[ "$(grep -c ': clean$' "$work/third")" = 3 ] || fail "the night after does not begin anew"

# What is read in a second is what was allowed.
image=$images/ext4-4k.img
read=$(bytes_read "$image")
rate=$((read / 2 > 65536 ? read / 2 : 65536))
began=$(date +%s%N)
expect 0 "$extscrub" audit --max-rate "$rate" "$image"
took=$((($(date +%s%N) - began) / 1000000))
echo "$read bytes at $rate a second: $took ms"
# The last read is not waited for.
[ $took -ge $(((read - 262144) * 1000 / rate)) ] || fail "$read bytes at $rate a second took only $took ms"
conclude
