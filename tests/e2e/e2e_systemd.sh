#!/bin/bash
# The units, as they are installed: systemd finds nothing wrong with them, the sandbox is tight, and an audit needs nothing
# that it takes away. The crontab's line runs, and speaks only when something is not clean.
. "$(dirname "$0")/../support/scenario.sh"
cmake --install "$(dirname "$extscrub")" --prefix "$work/usr" >"$work/why" 2>&1 || { cat "$work/why" >&2; fail "cmake --install"; conclude; }
chmod 755 "$work"
units=$work/usr/lib/systemd/system
make_image ext4-1k "$work/sound.img"
cp --sparse=always "$work/sound.img" "$work/spoilt.img"
spoil "$work/spoilt.img"

# Nothing but an audit, of what the unit is for.
for unit in "$units"/*.service; do
  command=$(sed -n 's/^ExecStart=//p' "$unit")
  [[ $command == "$work/usr/sbin/extscrub audit "* ]] || fail "$unit runs: $command"
done
for unit in "$units"/*.service; do
  grep -q '^StateDirectory=extscrub$' "$unit" && grep -q '^ExecStart=.* --state /var/lib/extscrub' "$unit" ||
    fail "${unit##*/}: no state directory, or it is not used"
done

# An image that makes an audit run away is ended, with all that it may take.
for limit in IPAddressDeny=any LimitCORE=0 LimitFSIZE MemoryMax MemorySwapMax=0 ProcSubset=pid TasksMax TimeoutStartSec; do
  for unit in "$units"/*.service; do
    grep -q "^$limit" "$unit" || fail "${unit##*/}: no $limit"
  done
done

# The line of the crontab, as cron would run it: a shell with cron's environment.
line=$(grep -v '^#' "$work/usr/share/doc/extscrub/examples/extscrub.cron" | sed -n 's/^[0-9*]* [0-9*]* [*] [*] [*] root //p')
[ -n "$line" ] || fail "no command for root in the crontab"
cron() { status_of env -i PATH=/usr/bin:/bin SHELL=/bin/sh sh -c "$(sed "s,/etc/extscrub/images,$work/images,g; s,/var/lib/extscrub,$work/state," <<<"$line")"; }
expect_cron() {
  cron
  [ "$status" = "$1" ] || { fail "cron, $2: exit $status, not $1"; cat "$work/output" >&2; }
}
expect_cron 0 "without a list"
[ -s "$work/output" ] && fail "without a list there is mail"
printf '%s\n' "$work/sound.img" >"$work/images"
expect_cron 0 "a sound image"
[ -s "$work/output" ] && fail "a sound image makes mail"
printf '%s\n' "$work/spoilt.img" >>"$work/images"
expect_cron 4 "a damaged image"
grep -q "spoilt.img: damaged" "$work/output" && ! grep -q sound.img "$work/output" || { fail "the mail is:"; cat "$work/output" >&2; }

# root with the one capability that the units leave reads what is anybody's, and all may read its metrics.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  chmod 600 "$work/sound.img"
  chown 65534:65534 "$work/sound.img"
  capability=$(sed -n 's/^CapabilityBoundingSet=CAP_//p' "$units/extscrub.service")
  umask=$(sed -n 's/^UMask=//p' "$units/extscrub.service")
  confined=(setpriv --no-new-privs --inh-caps=-all "--bounding-set=-all,+${capability,,}")
  if "${confined[@]}" true 2>/dev/null; then
    (umask "$umask"; expect 0 "${confined[@]}" "$work/usr/sbin/extscrub" audit --metrics "$work/metrics.prom" "$work/sound.img"; conclude) ||
      fail "an audit as the units run it"
    [ "$(stat -c %A "$work/metrics.prom")" = -rw-r--r-- ] || fail "the metrics are $(stat -c %A "$work/metrics.prom")"
  else
    echo "setpriv may not: no audit with the capability of the units only"
  fi
fi

command -v systemd-analyze >/dev/null || { conclude; skip "no systemd-analyze: the units are not verified"; }
mkdir "$work/verify"
cp "$units/extscrub.service" "$units/extscrub.timer" "$work/verify"
cp "$units/extscrub@.service" "$work/verify/extscrub@srv-images-root.img.service"
for unit in "$work"/verify/*; do
  # It looks for the manual pages that a unit names, too.
  status_of env MANPATH="$work/usr/share/man" systemd-analyze verify --recursive-errors=no "$unit"
  # A warning about a unit of the system's is none about ours.
  if [ "$status" != 0 ] || grep -q "${unit##*/}\|extscrub" "$work/output"; then
    fail "systemd-analyze verify $unit: exit $status"; cat "$work/output" >&2
  fi
done
status_of systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "$units/extscrub.timer")"
[ "$status" = 0 ] || fail "OnCalendar: $(cat "$work/output")"

for unit in "$work"/verify/*.service; do
  status_of systemd-analyze security --offline=yes --threshold=20 --no-pager "$unit"
  [ "$status" = 0 ] || { fail "systemd-analyze security: above 2.0"; grep '✗' "$work/output" >&2; }
  grep 'Overall exposure' "$work/output" || fail "no overall exposure"
done

# What an audit asks of the kernel is what SystemCallFilter= lets through.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  zstd -q "$work/spoilt.img" 2>/dev/null || :
  strace -f -qq -o "$work/trace" "$extscrub" audit --syslog --metrics "$work/metrics" --state "$work/state" "$work"/{sound,spoilt}.img "$work"/spoilt.img.zst >/dev/null 2>&1 || :
  sed -En 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$work/trace" | sort -u >"$work/calls"
  python3 - "$work/calls" "$units/extscrub.service" <<'PYTHON' || fail "SystemCallFilter= refuses what an audit needs"
import subprocess, sys

def calls_of(group):
    calls = set()
    for line in subprocess.run(['systemd-analyze', 'syscall-filter', group], check=True, capture_output=True, text=True).stdout.split('\n')[1:]:
        word = line.split('#')[0].strip()
        calls |= calls_of(word) if word.startswith('@') else {word} if word else set()
    return calls

allowed = set()
for line in open(sys.argv[2]):
    if line.startswith('SystemCallFilter='):
        words = line.strip().partition('=')[2]
        for word in words.lstrip('~').split():
            calls = calls_of(word) if word.startswith('@') else {word}
            allowed = allowed - calls if words.startswith('~') else allowed | calls
# systemd allows these whatever the filter says.
allowed |= calls_of('@default') | {'execve', 'exit', 'exit_group', 'rt_sigreturn', 'sigreturn'}
used = set(open(sys.argv[1]).read().split())
print(f'{len(used)} system calls')
if used - allowed:
    print('not allowed: ' + ', '.join(sorted(used - allowed)), file=sys.stderr)
sys.exit(1 if used - allowed or len(used) < 20 else 0)
PYTHON
else
  echo "no strace: the system calls are not compared with the filter"
fi
conclude
