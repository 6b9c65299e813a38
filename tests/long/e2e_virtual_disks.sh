#!/bin/bash
# Virtual disks in all formats and the disk of an NBD server are audited, scrubbed and undone like the raw image they
# were made of, by the bytes; nothing is left behind, not even by a run that is killed; what cannot be done says why.
. "$(dirname "$0")/../support/scenario.sh"
for tool in qemu-img qemu-nbd nbdfuse; do
  command -v $tool >/dev/null || skip "needs $tool (Debian packages qemu-utils and libnbd-bin)"
done
[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip "needs /dev/fuse"
# All that the runs put anywhere: the directories for sockets and mounts.
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
cd "$work"

helpers=() # started here; by their ids
stop_helpers() {
  local id
  for id in "${helpers[@]}"; do kill "$id" 2>/dev/null || :; wait "$id" 2>/dev/null || :; done
  helpers=()
}
trap 'ended=$?; stop_helpers; set +e; (exit $ended); finish' EXIT
server() { # SOCKET ARGUMENTS...: qemu-nbd at the socket
  qemu-nbd --socket="$1" --persistent --shared=0 "${@:2}" 2>"$work/server" & helpers+=($!)
  for ((try = 0; try < 200; try++)); do [ ! -S "$1" ] || return 0; sleep 0.05; done
  fail "qemu-nbd: $(cat "$work/server")"
}
# Helper programs of our runs, a line each: they have our directory in their surroundings, and a server of this script
# has its socket in its command line too.
helpers_running() {
  local folder words
  for folder in /proc/[0-9]*; do
    words=()
    mapfile -d '' -t words 2>/dev/null <"$folder/cmdline" || continue
    [[ "${words[*]}" =~ ^([^ ]*/)?(bash |sh )?([^ ]*/)?(qemu-nbd|nbdfuse)\  && "${words[*]}" != *--socket=* ]] || continue
    ! tr '\0' '\n' <"$folder/environ" 2>/dev/null | grep -qxF "TMPDIR=$TMPDIR" || echo "process ${folder##*/}: ${words[*]}"
  done 2>/dev/null
}
# These, mounts below the directory, and files in it.
left_behind() { helpers_running; grep -F "$TMPDIR" /proc/self/mountinfo || :; ls -A "$TMPDIR"; }
nothing_left() { # WHAT: within half a minute
  for ((try = 0; try < 300; try++)); do [ -n "$(left_behind)" ] || return 0; sleep 0.1; done
  fail "$1 leaves: $(left_behind)"
}
holds() { # DISK RAW [FORMAT]: the disk has the bytes of the raw image; a disk may be longer, with zeros
  qemu-img compare -q -f "${3:-${1##*.}}" -F raw "$1" "$2" || fail "$1 has other bytes than $2"
}

make_image ext4-1k base.img
spoil base.img
truncate -s 80M disk.raw
sfdisk -q disk.raw <<<'label: gpt
start=2048, size=61440
start=65536, size=61440'
dd if=base.img of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
dd if=base.img of=disk.raw bs=1M seek=32 conv=notrunc,sparse status=none

# By a plan and in place, so that both have the same time in their superblocks, and none in a journal.
for raw in base.img disk.raw; do
  expect 4 "$extscrub" scrub --dry-run $raw
done
"$extscrub" scrub --dry-run --format=json base.img >base.plan || :
cp --sparse=always base.img base.mended
expect 1 "$extscrub" scrub --no-undo --commit=direct --plan base.plan base.mended
for format in qcow2 vmdk vhdx vpc vdi; do
  disk=whole.$format
  options=(); [ $format != vpc ] || options=(-o force_size=on)
  qemu-img convert -f raw -O $format "${options[@]}" base.img $disk
  expect 4 "$extscrub" audit $disk
  expect 4 "$extscrub" scrub --dry-run $disk
  holds $disk base.img
  expect 1 "$extscrub" scrub --commit=direct --plan base.plan $disk
  holds $disk base.mended
  expect 0 "$extscrub" audit $disk
  # 63: this format has no check.
  qemu-img check -q $disk 2>/dev/null || [ $? = 63 ] || fail "$disk: qemu-img check finds errors"
  expect 0 "$extscrub" undo $disk.extscrub-undo-* $disk
  holds $disk base.img

  disk=parts.$format
  qemu-img convert -f raw -O $format "${options[@]}" disk.raw $disk
  expect 1 "$extscrub" scrub --undo-file $disk.undo --partition 2 $disk
  expect 4 "$extscrub" audit $disk
  grep -q "^$disk#p1: damaged" output || fail "$disk#p1 is not damaged"
  grep -q "^$disk#p2: clean" output || fail "$disk#p2 is not clean"
  expect 0 "$extscrub" undo $disk.undo $disk
  holds $disk disk.raw
  expect 1 "$extscrub" scrub $disk
  expect 0 "$extscrub" audit $disk
  expect 0 qemu-img convert -O raw $disk mended.raw
  for start in 1 32; do
    dd if=mended.raw of=part.img bs=1M skip=$start count=30 conv=sparse status=none
    expect 0 e2fsck -fn part.img
  done
  nothing_left "$disk"
done
# The text that names the parts of a disk, and a fixed disk, which has its footer only.
qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse base.img split.vmdk
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on base.img fixed.vhd
expect 8 "$extscrub" audit split.vmdk
grep -q 'split-s001.vmdk.*--follow-backing' output || fail "no word of the parts of split.vmdk: $(cat output)"
for disk in split.vmdk fixed.vhd; do
  expect 1 "$extscrub" scrub --follow-backing --no-undo --commit=direct --plan base.plan $disk
done
holds split.vmdk base.mended
holds fixed.vhd base.mended vpc
# Its name does not say so: it has the magic number of ext, and is taken as it is.
cp fixed.vhd fixed.img
expect 0 "$extscrub" audit fixed.img

# Killed, at some moment between its start and its end.
qemu-img convert -f raw -O qcow2 base.img killed.qcow2
for command in "audit --max-rate 64K" "scrub --no-undo --max-rate 64K"; do
  $extscrub $command killed.qcow2 >/dev/null 2>&1 & run=$!
  for ((try = 0; try < 600; try++)); do
    [[ $(helpers_running) == *nbdfuse* ]] && [ -z "$(ls "$TMPDIR")" ] && break
    sleep 0.05
  done
  sleep 0.5
  kill -9 $run || fail "$command was over before it was killed"
  wait $run || :
  nothing_left "a killed $command"
done
for delay in 0.02 0.05 0.1 0.2 0.4 0.6 0.8; do
  $extscrub scrub --no-undo killed.qcow2 >/dev/null 2>&1 & run=$!
  sleep $delay
  kill -9 $run 2>/dev/null || :
  wait $run || :
  # Several looks: a helper that is about to become its program does not show yet.
  for ((try = quiet = 0; try < 300 && quiet < 5; try++)); do
    if left_behind | grep -qE '^process|fuse'; then quiet=0; else quiet=$((quiet + 1)); fi
    sleep 0.1
  done
  [ $quiet = 5 ] || { left_behind >&2; fail "killed after $delay s: the above is left"; }
  # Killed in the moment between the two, it leaves its empty directory.
  rm -rf "${TMPDIR:?}"/*
done
qemu-img check -q killed.qcow2 || [ $? = 3 ] || fail "a kill spoils the disk" # 3: clusters that nobody needs
status_of "$extscrub" scrub --no-undo killed.qcow2
expect 0 "$extscrub" audit killed.qcow2

# The disk of a server.
uri="nbd+unix:///?socket=$work/socket"
cp --sparse=always base.img served.img
server "$work/socket" --format=raw served.img
expect 4 "$extscrub" audit "$uri"
mkdir here
cd here
expect 1 "$extscrub" scrub --commit=direct --plan ../base.plan "$uri"
cd ..
log=$(echo here/nbd*.extscrub-undo-*)
[ -f "$log" ] || fail "no undo file in the current directory: $(ls here)"
cmp served.img base.mended || fail "the served disk has other bytes"
expect 0 "$extscrub" undo "$log" "$uri"
cmp served.img base.img || fail "the served disk has not its old bytes"
stop_helpers
server "$work/readonly" --read-only --format=raw served.img
expect 4 "$extscrub" audit "nbd+unix:///?socket=$work/readonly"
expect 8 "$extscrub" scrub --no-undo "nbd+unix:///?socket=$work/readonly"
grep -q 'reading only' output || fail "no word of a read-only server: $(cat output)"
stop_helpers
expect 8 "$extscrub" audit "nbd+unix:///?socket=$work/nobody"
nothing_left "an NBD URI"

# Somebody else works on it.
qemu-img convert -f raw -O qcow2 base.img open.qcow2
server "$work/busy" --format=qcow2 open.qcow2
sum=$(sha256sum <open.qcow2)
for command in audit "scrub --no-undo"; do
  expect 8 "$extscrub" $command open.qcow2
  grep -q 'lock' output || fail "$command of an open disk does not say so: $(cat output)"
done
[ "$sum" = "$(sha256sum <open.qcow2)" ] || fail "an open disk was changed"
stop_helpers

# What a header names is not opened: neither by us nor by a helper. The victims are scratch files of ours.
mkdir folder
cp base.img victim.raw
qemu-img create -q -f qcow2 -o data_file=victim.raw,data_file_raw=on data.qcow2 30M
cp base.img victim.raw # creating it has written to it
qemu-img create -q -f qcow2 -F raw -b "$work/victim.raw" backing.qcow2
qemu-img create -q -f qcow2 -F raw -b victim.raw relative.qcow2
python3 - <<'CODE'
import struct
def qcow2(name, backing):
    backing = backing.encode()
    header = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', 3, 512, len(backing), 16, 30 << 20, 0, 1, 3 << 16, 1 << 16, 1, 0, 0)
    header += struct.pack('>QQQII', 0, 0, 0, 4, 104) + struct.pack('>II', 0xE2792ACA, 3) + b'raw' + bytes(5 + 8)
    clusters = [header.ljust(512, b'\0') + backing, struct.pack('>Q', 2 << 16), struct.pack('>4H', 1, 1, 1, 1), b'']
    open(name, 'wb').write(b''.join(c.ljust(1 << 16, b'\0') for c in clusters))
qcow2('json.qcow2', 'json:{"driver":"raw","file":{"driver":"nbd","server":{"type":"unix","path":"victim.socket"}}}')
qcow2('nbd.qcow2', 'nbd:unix:victim.socket')
qcow2('outside.qcow2', '../' * 20 + 'etc/hostname')
qcow2('link.qcow2', 'leads-outside')
qcow2('name.qcow2', 'victim.raw,file.filename=victim.raw')
open('flat.vmdk', 'w').write('# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
                             'RW 61440 FLAT "victim.raw" 0\nddb.adapterType = "ide"\n')
CODE
ln -sf /etc/hostname leads-outside
sum=$(sha256sum <victim.raw)
# The files that a run opens; O_PATH only names one, for a sandbox.
opened() {
  grep -v O_PATH trace | sed -nE 's/.*open(at)?\([^"]*"([^"]*)".* = [0-9]+.*/\2/p; s/.*openat2\([^"]*"([^"]*)".* = [0-9]+.*/\1/p' | sort -u
}
for disk in data backing relative json nbd outside link name flat; do
  file=$disk.qcow2; [ -e $file ] || file=$disk.vmdk
  for command in audit "scrub --no-undo" "scrub --dry-run"; do
    if strace -o trace true 2>/dev/null; then
      expect 8 strace -f -o trace -e trace=open,openat,openat2,connect,execve "$extscrub" $command $file
      opened | grep -qE 'victim|hostname|leads' && fail "$command of $file opens $(opened | tr '\n' ' ')"
      grep -qE 'execve.*(qemu-nbd|nbdfuse)|connect\(' trace && fail "$command of $file starts a helper"
    else
      expect 8 "$extscrub" $command $file
    fi
    grep -qE 'names another file.*--follow-backing' output || fail "$command of $file does not say why not: $(cat output)"
  done
done
for disk in json.qcow2 nbd.qcow2 outside.qcow2 link.qcow2 name.qcow2; do
  expect 8 "$extscrub" audit --follow-backing $disk
  grep -q 'which is not opened' output || fail "--follow-backing of $disk: $(cat output)"
done
[ "$sum" = "$(sha256sum <victim.raw)" ] || fail "a victim was written to"
for disk in data.qcow2 backing.qcow2 relative.qcow2 flat.vmdk; do
  expect 4 "$extscrub" audit --follow-backing $disk
done
expect 1 "$extscrub" scrub --follow-backing --undo-file relative.undo relative.qcow2
expect 0 "$extscrub" audit --follow-backing relative.qcow2
[ "$sum" = "$(sha256sum <victim.raw)" ] || fail "a scrub writes to a backing file"
expect 0 "$extscrub" undo --follow-backing relative.undo relative.qcow2
expect 4 "$extscrub" audit --follow-backing relative.qcow2
expect 1 "$extscrub" scrub --follow-backing --no-undo data.qcow2
expect 0 "$extscrub" audit victim.raw
# The same bytes under a name that asks for no virtual disk.
cp backing.qcow2 folder/guest.img
expect 8 "$extscrub" scrub folder/guest.img
grep -q -- '--virtual-disk=qcow2' output || fail "a qcow2 under another name: $(cat output)"
cp whole.qcow2 "folder/wh,ole=1.img"
expect 4 "$extscrub" audit --virtual-disk=qcow2 "folder/wh,ole=1.img"
# What a sound disk's run opens: the image, libraries, and what programs look at when they start.
if strace -o trace true 2>/dev/null; then
  expect 4 strace -f -o trace -e trace=open,openat,openat2 "$extscrub" audit whole.qcow2
  other=$(opened | grep -vE '^(/lib|/usr/|/etc/(ld\.so\.|localtime)|/proc(/|$)|/sys/|/dev/(null|fuse|urandom|loop[0-9]+)|whole\.qcow2$|'"$TMPDIR/extscrub-disk-)" || :)
  [ -z "$other" ] || fail "an audit opens $other"
fi
# A scrub that has nothing to write opens no disk for writing: a server may change one that is only opened.
if strace -o trace true 2>/dev/null; then
  make_image ext4-1k sound.img
  qemu-img convert -f raw -O qcow2 sound.img sound.qcow2
  expect 0 strace -f -s 200 -o trace -e trace=execve "$extscrub" scrub --no-undo sound.qcow2
  grep 'execve.*qemu-nbd' trace | grep -v -- --read-only && fail "a sound disk is opened for writing by the above"
fi
nothing_left "a disk that names other files"

# It is no such disk; helpers that are not there, fail, or do not answer a Ctrl-C of ours.
{ printf 'QFI\xfb'; head -c 65536 /dev/zero; } >no.qcow2
expect 8 "$extscrub" audit no.qcow2
PATH='' expect 4 "$extscrub" audit open.qcow2 # they are looked for in /usr/bin as well
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  for tool in qemu-nbd nbdfuse; do
    # shellcheck disable=SC2016
    expect 8 unshare -m sh -c 'mount --bind /dev/null "$(command -v "$1")" && exec "$2" audit open.qcow2' \
      sh $tool "$extscrub"
    grep -qE "needs the program $tool.*install (qemu-utils|libnbd-bin)" output ||
      fail "no word of a missing $tool: $(cat output)"
  done
fi
mkdir fake
printf '#!/bin/bash\ntrap "wait; echo no room >&2; exit 1" TERM\n(export LISTEN_PID=$BASHPID; exec %q "$@") &\nwait\n' "$(command -v qemu-nbd)" \
  >fake/qemu-nbd
chmod +x fake/qemu-nbd
PATH=$work/fake:$PATH expect 8 "$extscrub" scrub --no-undo open.qcow2
grep -q 'not known whether.*no room' output || fail "a failure at the end is not told: $(cat output)"
# A flush fails below the disk: that reaches the scrub, and there is nowhere to say so but beside the disk.
if strace -o trace true 2>/dev/null; then
  qemu-img convert -f raw -O qcow2 base.img flush.qcow2
  expect 8 strace -f -o trace -P "$work/flush.qcow2" -e trace=fdatasync -e inject=fdatasync:error=EIO "$extscrub" scrub --no-undo flush.qcow2
  grep -q '^flush.qcow2: errored' output || fail "a flush that fails: $(cat output)"
  [ -e flush.qcow2.extscrub-errored ] || fail "nothing beside the disk says that it is errored"
  expect 8 "$extscrub" audit flush.qcow2
fi
# The program behind the disk is gone, while it is read.
qemu-img convert -f raw -O qcow2 base.img gone.qcow2
"$extscrub" scrub --no-undo --max-rate 64K gone.qcow2 >output 2>&1 & run=$!
for ((try = 0; try < 600; try++)); do
  [[ $(helpers_running) == *nbdfuse* ]] && [ -z "$(ls "$TMPDIR")" ] && break
  sleep 0.05
done
kill -9 "$(helpers_running | sed -n 's/^process \([0-9]*\): qemu-nbd .*/\1/p')"
status=0; wait $run || status=$?
[ $((status & 9)) = 8 ] || fail "exit status $status after the death of qemu-nbd: $(cat output)"
holds gone.qcow2 base.img
"$extscrub" audit --max-rate 64K open.qcow2 >output 2>&1 & run=$!
sleep 2
kill -TERM $run
wait $run && fail "not cancelled" || [ $? = 32 ] || fail "exit status $? of a cancelled run"
nothing_left "a run that fails or is cancelled"
conclude
