#!/bin/bash
# 60 blocks of noise over a sound image: the text report is two screens at most and says which files are touched, JSON has every
# finding with its cause, and --affected lists the files, the same with and without a process of its own for the image.
. "$(dirname "$0")/../support/scenario.sh"

python3 - "$work/tree" <<'PY'
import os, random, sys
rng = random.Random(5)
for name in ('etc', 'usr/bin', 'usr/lib', 'home/anna', 'home/new\nline', 'var/spool'):
    directory = os.path.join(sys.argv[1], name)
    os.makedirs(directory)
    for i in range(300 if name == 'var/spool' else 40):
        with open(f'{directory}/file-{i:03}', 'wb') as file:
            file.write(rng.randbytes(rng.choice([10, 300, 2000, 9000, 40000])))
PY

# noise IMAGE KIND: random bytes over 60 blocks, of all that are in use or of bitmaps and inode tables.
noise() {
  dumpe2fs "$1" 2>/dev/null | python3 -c '
import random, re, sys
text, (image, kind) = sys.stdin.read(), sys.argv[1:]
size, blocks = (int(re.search(rf"Block {what}: +(\d+)", text)[1]) for what in ("size", "count"))
def ranges(pattern):
    return {b for first, last in re.findall(pattern, text) for b in range(int(first), int(last or first) + 1)}
free = set()
for line in re.findall(r"^  Free blocks: (.*)$", text, re.M):
    free |= {b for first, last in re.findall(r"(\d+)-?(\d*)", line) for b in range(int(first), int(last or first) + 1)}
used = set(range(1024 // size + 1, blocks)) - free
if kind == "metadata":
    used = ranges(r"Inode table at (\d+)-(\d+)") | ranges(r"[Bb]lock bitmap at (\d+)()") | ranges(r"Inode bitmap at (\d+)()")
rng = random.Random(7)
with open(image, "r+b") as file:
    for block in sorted(rng.sample(sorted(used), 60)):
        file.seek(block * size)
        file.write(rng.randbytes(size))
' "$1" "$2"
}

# audited NAME IMAGE OPTIONS...: text, verbose text, JSON and list in NAME.*.
audited() {
  local name=$work/$1 image=$2 wanted; shift 2
  status_of "$extscrub" audit "$@" "$image"
  wanted=$status
  mv "$work/output" "$name.text"
  expect "$wanted" "$extscrub" audit "$@" --verbose --output "$name.verbose" "$image"
  expect "$wanted" "$extscrub" audit "$@" --format=json --output "$name.json" --affected "$name.list" "$image"
}

# makes_sense NAME: what the reports of one image say of each other.
makes_sense() {
  python3 - "$work/$1" <<'PY' || fail "$1: the reports do not go together"
import collections, json, re, sys
name = sys.argv[1]
read = lambda kind: open(f'{name}.{kind}', encoding='utf-8').read()
findings = json.loads(read('json'))['images'][0]['findings']
lines = read('text').splitlines()
assert len(lines) <= 100, f'{len(lines)} lines of text'
assert sum(1 + (len(line) - 1) // 120 for line in lines) <= 130, 'more than two screens'
assert lines[-1] == read('verbose').splitlines()[-1], 'two verdicts'
assert sum(line.startswith(('  error', '  warning', '  note')) for line in read('verbose').splitlines()) == len(findings)
for finding in findings:
    cause = finding['caused_by']
    if cause is not None:
        assert findings[cause]['caused_by'] is None, 'a cause has a cause'
        assert findings[cause]['severity'] == 'error'
        assert finding['code'] not in ('read-error', 'data-unreadable', 'inodes-lost'), finding
# Every finding is counted in the lines, or has one.
codes = collections.Counter(f['code'] for f in findings)
if any(line.startswith('  by code:') for line in lines):
    table = ' '.join(lines).split('by code:')[1].split('  in ')[0]
    counted = {code: int(n) for code, n in re.findall(r'([a-z0-9-]+) (\d+)', table)}
    assert counted == dict(codes), (counted, codes)
# The list has every file that a finding names, a line each at least, and nothing else makes a line.
rows = [line.split('\t') for line in read('list').splitlines()]
assert all(len(row) == 5 and row[3] in ('touched', 'lost') for row in rows)
paths = {row[0] for row in rows}
for finding in findings:
    if finding['severity'] != 'note' and finding['inode'] is not None:
        path = finding['path']
        path = path.replace('\n', r'\n') if path else '/' if finding['inode'] == 2 else f"<inode {finding['inode']}>"
        assert path in paths, path
for path in paths:
    assert path.startswith(('/', '<inode ')), path
# A directory with touched files is in the text.
text = '\n'.join(lines)
directories = collections.Counter(p.rsplit('/', 1)[0] or '/' for p in {f['path'] for f in findings if f['path']})
for directory, _ in directories.most_common(10):
    assert directory.replace('\n', r'\n') in text, f'{directory} is not in the text'
PY
}

while read -r name size options; do
  # shellcheck disable=SC2086  # the options are several words
  mke2fs -q -F -d "$work/tree" $options "$work/$name.img" "$size" 2>/dev/null
  for kind in any metadata; do
    image=$work/$name-$kind.img
    cp "$work/$name.img" "$image"
    noise "$image" $kind
    audited "$name-$kind" "$image"
    makes_sense "$name-$kind"
  done
  findings=$(grep -c '"code"' "$work/$name-metadata.json")
  [ "$findings" -gt 500 ] || fail "$name: $findings findings are no noise"
done <<'SETS'
csum-1k   24M -t ext4 -b 1024 -N 1600
plain-1k  24M -t ext4 -b 1024 -N 1600 -O ^metadata_csum,^uninit_bg
csum-4k   64M -t ext4 -b 4096 -g 4096
plain-4k  64M -t ext4 -b 4096 -g 4096 -O ^metadata_csum,^uninit_bg
ext2-1k   24M -t ext2 -b 1024 -N 1600
SETS

# A file whose inode is gone is in the list by the entry that is left of it.
cp "$work/csum-1k.img" "$work/gone.img"
debugfs -w -R 'clri /etc/file-007' "$work/gone.img" >/dev/null 2>&1
expect 4 "$extscrub" audit --affected "$work/gone.list" "$work/gone.img"
grep -q $'^/etc/file-007\t-\t-\ttouched\t' "$work/gone.list" || fail "a file whose inode is gone is not in the list: $(cat "$work/gone.list")"

# In one process with the run it is the same list.
image=$work/csum-1k-metadata.img
expect 4 "$extscrub" audit --no-isolate --affected "$work/together" "$image"
cmp -s "$work/together" "$work/csum-1k-metadata.list" || fail "the list is another without --isolate"

# What a repair lets go of is lost, and the report of a scrub is no longer than that of an audit by much.
expect 4 "$extscrub" scrub --dry-run --repair=all --affected "$work/lost" "$image"
grep -q $'\tlost\t' "$work/lost" || fail "nothing is lost by --repair=all"
[ "$(wc -l <"$work/output")" -le 150 ] || fail "a dry run prints $(wc -l <"$work/output") lines"

conclude
