#!/bin/bash
# The units, run by a real systemd: process 1 of namespaces of its own, in a root and a control group of its own. Over a
# sound image they succeed, over a damaged one they fail, and the journal has the report.
. "$(dirname "$0")/../support/scenario.sh"
need_root
systemd=/usr/lib/systemd/systemd
for tool in $systemd systemctl journalctl systemd-escape unshare setpriv findmnt; do
  command -v $tool >/dev/null || skip "needs $tool"
done

group=
clean_up() {
  [ -n "$group" ] && [ -d "$group" ] || return 0
  echo 1 >"$group/cgroup.kill"
  for _ in $(seq 50); do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :
    [ -d "$group" ] || return 0
    sleep 0.1
  done
}
hierarchy=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET) || skip "no cgroup2 is mounted"
group=$hierarchy$(sed -n 's/^0:://p' /proc/self/cgroup)/extscrub-$$
mkdir "$group" 2>"$work/why" || { group=; skip "cannot make a control group: $(cat "$work/why")"; }

# What the booted system sees of this one: /usr, the images, and the folder with the driver and what it has to say.
mkdir "$work"/{root,images,shown}
DESTDIR=$work/stage cmake --install "$(dirname "$extscrub")" --prefix /opt/extscrub >"$work/why" 2>&1 ||
  { cat "$work/why" >&2; fail "cmake --install"; conclude; }
make_image ext4-1k "$work/images/sound.img"
cp --sparse=always "$work/images/sound.img" "$work/images/spoilt.img"
spoil "$work/images/spoilt.img"
before=$(cat "$work"/images/* | sha256sum)

cat >"$work/shown/driver" <<'DRIVER'
#!/bin/bash
cd /shown && touch booted
# run NAME UNIT: starts it, and leaves NAME.status, NAME.unit with its properties, and NAME.journal
run() {
  local begin
  begin=$(date +'%F %T.%6N')
  systemctl start "$2" >"$1.said" 2>&1
  echo $? >"$1.status"
  systemctl show --property=ActiveState,Result,ExecMainStatus "$2" >"$1.unit" 2>&1
  journalctl --sync
  journalctl --no-pager --output=cat --since "$begin" --unit "$2" >"$1.journal" 2>&1
}
run without_list extscrub.service
echo /images/sound.img >/etc/extscrub/images
run sound extscrub.service
echo /images/spoilt.img >>/etc/extscrub/images
run spoilt extscrub.service
systemctl is-failed extscrub.service >is-failed 2>&1
run instance_sound "extscrub@$(systemd-escape --path /images/sound.img).service"
run instance_spoilt "extscrub@$(systemd-escape --path /images/spoilt.img).service"
ls -ld /var/lib/extscrub >state 2>&1
touch over
systemctl --force --force poweroff
DRIVER

# Runs in the new namespaces. The settings of the kernel in /proc/sys and /sys are for reading only: process 1 would
# raise some of them for the whole machine. Instead of sysinit.target and basic.target, which start what a machine
# needs, there are two without anything in them.
cat >"$work/boot" <<'BOOT'
set -e
root=$1 stage=$2 images=$3 shown=$4 systemd=$5
mount -t tmpfs -o mode=755 none "$root"
cd "$root"
mkdir -p usr etc/systemd/system etc/extscrub opt var/log/journal var/lib var/tmp run proc sys dev tmp root images shown
for name in bin sbin lib lib32 lib64; do if [ -L "/$name" ]; then cp -a "/$name" .; fi; done
mount --bind -o ro /usr usr
cp -a "$stage/opt/extscrub" opt
mount --bind -o ro "$images" images
mount --bind "$shown" shown
mount -t proc none proc
for name in sys sysrq-trigger; do
  [ -e proc/$name ] || continue
  mount --bind proc/$name proc/$name
  mount -o remount,bind,ro proc/$name
done
mount -t sysfs -o ro none sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 none dev
for name in null zero full random urandom tty; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 none dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 none run
mount -t tmpfs -o mode=1777 none tmp
cp /etc/ld.so.cache /usr/lib/os-release etc
printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534::/:/bin/false >etc/passwd
printf '%s\n' root:x:0: nogroup:x:65534: systemd-journal:x:101: adm:x:4: tty:x:5: >etc/group
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
units=etc/systemd/system
cp opt/extscrub/lib/systemd/system/extscrub* $units
for target in sysinit basic; do
  printf '[Unit]\nDescription=Nothing\nDefaultDependencies=no\n' >$units/$target.target
done
printf '[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.service driver.service\n' >$units/units.target
printf '[Unit]\nDefaultDependencies=no\nAfter=systemd-journald.service\n' >$units/driver.service
printf '[Service]\nType=oneshot\nExecStart=/bin/bash /shown/driver\n' >>$units/driver.service
exec env -i container=extscrub PATH=/usr/sbin:/usr/bin \
  setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog --inh-caps=-sys_time,-sys_module,-sys_rawio,-syslog \
  chroot . "$systemd" --system --unit=units.target --log-target=journal --show-status=no
BOOT
status=0
(
  echo $BASHPID >"$group/cgroup.procs" || exit
  exec timeout --signal=KILL 120 unshare --mount --pid --fork --kill-child --cgroup --net --uts --ipc \
    bash "$work/boot" "$work/root" "$work/stage" "$work/images" "$work/shown" $systemd
) >"$work/why" 2>&1 || status=$?
cd "$work/shown"
[ -e booted ] || skip "systemd does not boot here (exit $status): $(tail -5 "$work/why")"
[ -e over ] || fail "the units did not come to an end"

# outcome NAME STATUS STATE EXIT: of starting the unit, of the unit, of the program
outcome() {
  [ "$(cat "$1.status")" = "$2" ] || fail "$1: systemctl start: exit $(cat "$1.status"), not $2: $(cat "$1.said")"
  grep -qx "ActiveState=$3" "$1.unit" && grep -qx "ExecMainStatus=$4" "$1.unit" ||
    { fail "$1: not $3 with status $4"; cat "$1.unit" "$1.journal" >&2; }
}
reported() { grep -q "$2" "$1.journal" || { fail "$1: not in the journal: $2"; cat "$1.journal" >&2; }; }
outcome without_list 0 inactive 0
grep -q '/images/' without_list.journal && fail "without a list an image is audited"
outcome sound 0 inactive 0
reported sound '^/images/sound.img: clean$'
outcome spoilt 1 failed 4
reported spoilt '^/images/sound.img: clean'
reported spoilt 'block-bitmap-mismatch'
reported spoilt '^/images/spoilt.img: damaged ('
[ "$(cat is-failed)" = failed ] || fail "systemctl is-failed says $(cat is-failed)"
outcome instance_sound 0 inactive 0
reported instance_sound '^/images/sound.img: clean$'
outcome instance_spoilt 1 failed 4
reported instance_spoilt '^/images/spoilt.img: damaged ('
grep -q '^drwxr-x--- ' state || fail "the state directory is $(cat state)"
[ "$before" = "$(cat "$work"/images/* | sha256sum)" ] || fail "an image has changed"
conclude
