#!/bin/bash
# The examples of the manual pages, run as they stand there, one after the other, on images with the names they use.
. "$(dirname "$0")/../support/scenario.sh"
ln -s "$extscrub" "$work/extscrub"
export PATH=$work:$PATH

# examples PAGE: a command a line, those of several lines joined, with the page's escapes undone
examples() {
  sed -E 's/\\-/-/g; s/\\\(aq/'\''/g; s/\\\(dq/"/g; s/\\e/\\/g; s/\\&//g' "$1" |
    awk '/^\.SH/ { examples = /EXAMPLES/ } /^\.fi/ { shown = 0 } examples && shown { print } /^\.nf/ { shown = 1 }' |
    sed -E ':a; /(\||\\)$/ { N; s/\\?\n */ /; ba }'
}

sound() { make_image ext4-1k "$1"; }
# Blocks that are in use and marked free: what the first example explains.
damaged() {
  sound "$1"
  debugfs -w -R "freeb $(debugfs -R 'bmap /big 3' "$1" 2>/dev/null) 2" "$1" >/dev/null 2>&1
}
partitioned() {
  sound "$work/part"
  truncate -s $((2 + $(stat -c %s "$work/part") / 1048576 + 2))M "$1"
  sfdisk -q "$1" <<<'label: gpt
start=2048'
  dd if="$work/part" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
}
mkdir "$work/here"
cd "$work/here"
damaged root.img
sound home.img
damaged disk.img
mkdir images
zstd -q -o images/sound.img.zst home.img
cp root.img "images/a name with spaces.img"

# What is wanted of an example, where it is not just to run: its exit status into $wanted; what it needs is put in place.
prepare() {
  wanted=any
  case $1 in
    'extscrub audit root.img home.img') wanted=4 ;;
    'extscrub scrub --dry-run disk.img') wanted=4 ;;
    'extscrub scrub disk.img') wanted=1; cp disk.img before.img ;;
    'extscrub undo disk.img.extscrub-undo-'*)
      wanted=0
      mv disk.img.extscrub-undo-* "$(sed -E 's/.*(disk.img.extscrub-undo-[^ ]*).*/\1/' <<<"$1")"
      ;;
    'extscrub audit --partition 1 '*) wanted=0; rm disk.img; partitioned disk.img ;;
    'find images '*) wanted=4 ;;
    *' --state /var/lib/'*) wanted=4 ;;
    'ddrescue '*) wanted=none ;; # of a disk that is dying
    *' --ddrescue-map '*) wanted=12; printf '%s\n' '0 + 1' "0 $((0x100000)) +" '0x100000 0x400 -' >copy.map; cp home.img copy.img ;;
    *jq*) wanted=0; command -v jq >/dev/null || wanted=none ;;
    *jsonschema*) wanted=0; python3 -c 'import jsonschema' 2>/dev/null || wanted=none ;;
  esac
}
# What an example has done, beyond its exit status.
examine() {
  case $1 in
    'extscrub audit root.img home.img')
      [ "$(grep -oE '(error|warning) .*' "$work/output" | grep -c block-bitmap-mismatch)" != 0 ] ||
        fail "the problem that is explained is not the one found" ;;
    'extscrub undo '*) cmp disk.img before.img || fail "the image is not as it was" ;;
    *'--output report.json'*) python3 -m json.tool report.json >/dev/null || fail "no JSON in report.json" ;;
    *jq*) [ "$(cat "$work/output")" = "root.img: damaged" ] || fail "jq prints: $(cat "$work/output")" ;;
    'find images '*) grep -qF 'a name with spaces.img: damaged' "$work/output" || fail "not every image was found" ;;
  esac
}

for page in "$source"/man/*.[1-8]; do
  number=0
  while IFS= read -r command; do
    number=$((number + 1))
    prepare "$command"
    [ "$wanted" != none ] || { echo "not installed: $command"; continue; }
    status_of bash -c "$(sed "s,/usr/share/extscrub,$source/cli/share,; s,/var/lib/extscrub,state,; s,/srv/images,images," <<<"$command")" </dev/null
    case $wanted:$status in
      any:0 | any:1 | any:4 | "$status:$wanted") ;;
      *) fail "${page##*/}: exit $status, not ${wanted/any/0, 1 or 4}: $command"; sed 's/^/  | /' "$work/output" | head -20 >&2 ;;
    esac
    examine "$command"
  done < <(examples "$page")
  echo "${page##*/}: $number examples"
  [ "$number" -gt 0 ] || fail "${page##*/}: no example is found in it"
done
# Every page that shows a command shows it below EXAMPLES, or it would not be run.
for page in "$source"/man/*.[1-8]; do
  [ "$(grep -c '^\.nf' "$page")" = "$(sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' "$page" | grep -c '^\.nf')" ] ||
    fail "${page##*/}: an example stands elsewhere than below EXAMPLES"
done

# README: the step of a pipeline, and what its exit status means.
readme=$source/README.md
commands=$(sed -En 's,^ +(- )?/usr/sbin/(extscrub .*),\2,p' "$readme" | sort -u)
[ "$(wc -l <<<"$commands")" = 1 ] || fail "README shows several steps: $commands"
step() { # step STATUS IMAGE...: on these images in out/
  local wanted=$1; shift
  rm -rf out extscrub.xml && mkdir out
  [ $# = 0 ] || cp "$@" out/
  status_of bash -c "$commands"
  [ "$status" = "$wanted" ] || { fail "README's step on ${*:-nothing}: exit $status, not $wanted"; cat "$work/output" >&2; }
  grep -q "^| \(.*, \)\?$status\b" "$readme" || fail "README does not say what exit status $status means"
  [ $# = 0 ] || [ "$(grep -c '<testcase ' extscrub.xml)" = $# ] || fail "README's step on $*: not a test case each"
}
head -c 4096 /dev/zero >zeros.img
cp home.img recover.img
printf '%s\n' jo 'jw -b 3000 /dev/zero' jc | debugfs -w -f /dev/stdin recover.img >/dev/null 2>&1
step 0 home.img
step 4 home.img root.img
step 4 recover.img
step 8 home.img zeros.img
step 12 root.img zeros.img
step 8
conclude
