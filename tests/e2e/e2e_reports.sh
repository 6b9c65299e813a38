#!/bin/bash
# What the program prints for others to read, in all that can become of an image: JSON against its schema (and the schema
# against extscrub-report(5)), JUnit against an XML Schema, metrics against the grammar of the exposition format.
. "$(dirname "$0")/../support/scenario.sh"
export ASAN_OPTIONS=detect_leaks=0 # the leak checker of sanitizer builds cannot run in a traced process
cd "$work"
make_image ext4-1k sound.img
cp --sparse=always sound.img spoilt.img
spoil spoilt.img
restore() { cp --sparse=always spoilt.img image.img; rm -f image.img.*; }

# reported NAME WANTED ARGUMENTS...: the reports of a run: NAME.json, and NAME.xml and NAME.prom of one more. A run that
# writes has to be given anew what it writes to: by a function `again`.
reported() {
  local name=$1 wanted=$2 way; shift 2
  for way in json junit; do
    again
    status=0
    "${traced[@]}" "$extscrub" "$@" --format=$way --output "$name.$way" --metrics "$name.prom" >output 2>&1 || status=$?
    [ "$status" = "$wanted" ] || { fail "$name, $way: exit $status, not $wanted"; head -20 output >&2; }
  done
}
again() { :; }
traced=() injected=()

reported sound 0 audit sound.img
reported damaged 4 audit spoilt.img sound.img
reported verbose 4 audit --verbose spoilt.img
reported as_stored 4 audit --no-replay spoilt.img
reported limited 4 audit --max-findings 3 spoilt.img
reported none 8 audit no-such.img
# Again, with findings that are known, then with others.
cp --sparse=always spoilt.img state.img
reported state 4 audit --state state state.img
expect 1 "$extscrub" scrub --no-undo state.img
debugfs -w -R "freeb $(debugfs -R 'bmap /big 3' state.img 2>/dev/null) 2" state.img >/dev/null 2>&1
reported changes 4 audit --state state state.img
odd=$'<odd> &amp; "name"\n\\ \001\377.img'
cp --sparse=always spoilt.img "$odd"
reported odd_name 4 audit "$odd" sound.img
expect 4 "$extscrub" audit --output odd_name.text "$odd"

head -c 100000 /dev/urandom >noise.img
head -c 40000 sound.img >short.img
reported unreadable 8 audit noise.img short.img

# Real images of all kinds, where they are here.
if [ -e "$shared/corpus/hopeless" ]; then
  ls "$shared"/corpus/{hopeless,ambiguous,recover}/* >list
  reported corpus 12 audit --files-from list
else
  echo "no corpus: images of this test only"
fi

# A log to replay, and an orphan to release.
cp --sparse=always sound.img recover.img
printf '%s\n' 'sif /dir/file4 links_count 0' 'ssv last_orphan 13' | debugfs -w -f /dev/stdin recover.img >/dev/null 2>&1
printf '%s\n' 'jo' 'jw -b 3000 /dev/zero' 'jc' | debugfs -w -f /dev/stdin recover.img >/dev/null 2>&1
status_of "$extscrub" audit recover.img
reported recover "$status" audit recover.img

# Lossy repairs: an entry of an inode that is not in use, and a file whose third block lies outside.
make_image ext2-1k lossy.img
printf '%s\n' 'clri /dir/file4' 'sif /big block[2] 99999999' | debugfs -w -f /dev/stdin lossy.img >/dev/null 2>&1
reported lossy 4 scrub --dry-run --repair=all lossy.img

reported plan 4 scrub --dry-run spoilt.img
again() { restore; }
reported repaired 1 scrub image.img
reported in_place 1 scrub --commit=direct --no-undo image.img
reported by_plan 1 scrub --plan plan.json image.img
reported not_asked 4 scrub --repair=none image.img
again() { restore; cp spoilt.img image.img.extscrub-errored; }
reported refused 8 scrub image.img
again() { restore; }
exec 9<image.img
flock 9
reported locked 8 scrub image.img
exec 9<&-
reported no_undo_file 12 scrub --undo-file "$work/none/such" image.img

# What the kernel refuses, it refuses to strace as well.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  traced=(strace -f -qq -o /dev/null -P "$work/image.img" -e trace=pwrite64,pwritev -e inject=pwrite64,pwritev:error=EIO:when=3)
  reported write_error 8 scrub --queue=threads --no-undo image.img
  injected=(strace -f -qq -o /dev/null -P "$work/image.img" -e trace=pwrite64,pwritev -e inject=pwrite64,pwritev:error=EIO:when=1+)
  traced=("${injected[@]}")
  reported write_errors 8 scrub --queue=threads --no-undo image.img
  traced=(strace -f -qq -o /dev/null -e trace=io_uring_setup,pread64,preadv -e inject=io_uring_setup:error=ENOSYS
    -e inject=pread64,preadv:error=EIO:when=40+)
  reported read_error 12 audit --jobs 1 image.img
  traced=()
else
  echo "no strace: no run has an I/O error"
fi

if command -v sgdisk >/dev/null; then
  truncate -s $((2 + $(stat -c %s sound.img) / 1048576 + 2))M disk.img
  sgdisk -n 1:2048:0 disk.img >/dev/null
  dd if=sound.img of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
  reported partition 0 audit disk.img
else
  echo "no sgdisk: no image is a partition"
fi

# undo has JSON only, and no metrics.
restore
expect 1 "$extscrub" scrub --undo-file undo image.img
expect 0 "$extscrub" undo --format=json --output undone.json undo image.img
touch image.img.extscrub-errored
expect 0 "$extscrub" undo --format=json --output undone_again.json undo image.img
expect 8 "$extscrub" undo --format=json --output undo_refused.json undo sound.img
if [ ${#injected[@]} -gt 0 ]; then
  restore
  expect 1 "$extscrub" scrub --undo-file undo2 image.img
  expect 8 "${injected[@]}" "$extscrub" undo --queue=threads --format=json --output undo_write_error.json undo2 image.img
fi
expect 0 "$extscrub" history --format=json --path / --output history.json recover.img
expect 0 "$extscrub" history --format=json --block 3000 --output history_block.json recover.img
expect 0 "$extscrub" checks --format=json --output checks.json
expect 0 "$extscrub" explain --format=json --output explain.json block-bitmap-mismatch

# The limit of a scrub is one of its report: all is mended.
again() { restore; }
reported limited_scrub 1 scrub --max-findings 1 image.img
expect 0 e2fsck -fn image.img
python3 - limited_scrub.json limited.json repaired.json <<'PY' || fail "a limited report is not what it should be"
import json, sys
scrub, audit, all_of_it = (json.load(open(name))['images'][0] for name in sys.argv[1:])
past = sum(c['count'] for c in scrub['findings_past_limit'])
assert len(scrub['findings']) == 1 and past + 1 == len(all_of_it['findings']), past
assert {c['repair'] for c in scrub['findings_past_limit']} == {'made'}, scrub['findings_past_limit']
assert len(audit['findings']) == 3 and audit['findings_past_limit'], audit['findings_past_limit']
PY
again() { :; }

# More inodes than are looked up.
mkdir many
(cd many && seq -f f%05g 10030 | xargs touch)
mke2fs -q -t ext2 -b 1024 -N 11000 -d many many.img 8M >/dev/null 2>&1
seq -f 'sif <%g> dtime 1' 13 10020 | debugfs -w -f /dev/stdin many.img >/dev/null 2>&1
reported many 4 audit many.img
reported many_dry 4 scrub --dry-run many.img
reported many_limited 4 scrub --dry-run --max-findings 10003 many.img
python3 - many.json many_dry.json many_limited.json <<'PY' || fail "findings without a path are not counted"
import json, sys
for name in sys.argv[1:]:
    image = json.load(open(name))['images'][0]
    nameless = sum(f['inode'] is not None and f['path'] is None for f in image['findings'])
    assert image['findings_without_path'] == nameless > 0, (name, image['findings_without_path'], nameless)
PY

if python3 -c 'import jsonschema' 2>/dev/null; then
  python3 "$source/tests/support/check_report.py" "$source/cli/share/report-1.schema.json" \
    "$source/man/extscrub-report.5" ./*.json || fail "reports and schema differ"
else
  echo "no python3-jsonschema: the JSON reports are not checked"
fi

if command -v xmllint >/dev/null; then
  xmllint --noout --schema "$source/cli/share/junit-1.xsd" ./*.junit 2>why || { fail "JUnit reports and XML Schema differ"; cat why >&2; }
  # What an XML Schema cannot count.
  for report in *.junit; do
    for wrong in '@tests != count(testcase)' '@failures != count(testcase/failure)' '@errors != count(testcase/error)'; do
      [ "$(xmllint --xpath "boolean(//testsuite[$wrong])" "$report")" = false ] || fail "$report: $wrong"
    done
  done
  [ "$(xmllint --xpath 'string(//failure/../@name)' odd_name.junit)" = "$(sed -n 's/: damaged.*//p' odd_name.text)" ] ||
    fail "a name is not in JUnit as it is in the text report"
else
  echo "no xmllint: the JUnit reports are not checked"
fi

# The samples of runs over different images gather in one file.
again() { :; }
for image in sound.img spoilt.img "$odd" no-such.img; do
  "$extscrub" audit --quiet --metrics all.prom "$image" >/dev/null 2>&1 || :
done
python3 "$source/tests/support/check_metrics.py" ./*.prom || fail "metrics are not in the exposition format"
[ "$(grep -c '^extscrub_exit_status{' all.prom)" = 4 ] || fail "all.prom has not the samples of four images"
if command -v promtool >/dev/null; then
  for metrics in *.prom; do promtool check metrics <"$metrics" >why 2>&1 || { fail "promtool: $metrics"; cat why >&2; }; done
else
  echo "no promtool: the metrics are checked by this test's own grammar only"
fi
conclude
