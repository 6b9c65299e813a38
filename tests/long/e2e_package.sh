#!/bin/bash
# The Debian package: lintian finds no error in it, dpkg installs and removes it in a root of its own, and the program that
# is in it audits.
. "$(dirname "$0")/../support/scenario.sh"
for tool in cpack dpkg-deb dpkg-shlibdeps dpkg-parsechangelog; do
  command -v $tool >/dev/null || skip "needs $tool"
done
build=$(dirname "$extscrub")
# Whoever builds a package may have another umask.
(cd "$build" && umask 077 && cpack -G DEB -B "$work/package") >"$work/why" 2>&1 || { cat "$work/why" >&2; fail "cpack"; conclude; }
package=$(echo "$work"/package/*.deb)
[ -f "$package" ] || { fail "not one package: $package"; conclude; }
echo "${package##*/}"
(cd "$build" && SOURCE_DATE_EPOCH=1700000000 cpack -G DEB -B "$work/first" && sleep 1 && SOURCE_DATE_EPOCH=1700000000 cpack -G DEB -B "$work/second") >"$work/why" 2>&1
cmp "$work"/first/*.deb "$work"/second/*.deb || fail "the same build gives two packages"
field() { dpkg-deb -f "$package" "$1"; }

[ "$(field Package) $(field Section)" = "extscrub admin" ] || fail "it is $(field Package) of section $(field Section)"
version=$(field Version)
[[ "$("$extscrub" --version) " = "extscrub ${version%-*} "* ]] || fail "version $version, and the program says $("$extscrub" --version)"
for library in libext2fs2 libc6 libstdc++6 libblkid1; do
  [[ ", $(field Depends)," == *", $library "* ]] || fail "$library is missing in Depends: $(field Depends)"
done
field Description | sed -n 1p | grep -q '^offline ' || fail "Description: $(field Description)"

if command -v lintian >/dev/null; then
  # A warning is shown; it fails when there is an error.
  status_of lintian --allow-root --fail-on error "$package"
  cat "$work/output"
  [ "$status" = 0 ] || fail "lintian: exit $status"
else
  echo "no lintian: the package is not checked by it"
fi

root=$work/root
mkdir -p "$root"
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$root"/var/lib/dpkg/{info,updates}
  touch "$root/var/lib/dpkg/status"
  # The libraries, and the shell for the scripts, are those of the machine: the root has none of its own.
  dpkg=(dpkg --root="$root" --force-depends --force-script-chrootless)
  expect 0 "${dpkg[@]}" --install "$package"
else
  echo "not root: the package is unpacked, not installed"
  dpkg-deb -x "$package" "$root"
fi
make_image ext4-1k "$work/sound.img"
cp --sparse=always "$work/sound.img" "$work/spoilt.img"
spoil "$work/spoilt.img"
expect 0 "$root/usr/sbin/extscrub" audit "$work/sound.img"
expect 1 "$root/usr/sbin/extscrub" scrub --no-undo "$work/spoilt.img"
grep -qx 'ExecStart=/usr/sbin/extscrub audit .*' "$root"/usr/lib/systemd/system/extscrub{,@}.service || fail "the units do not run the program of the package"
grep -q ' /usr/sbin/extscrub audit' "$root/usr/share/doc/extscrub/examples/extscrub.cron" || fail "nor does the crontab"

# What is installed can be taken away again, and nothing else is.
cmake --install "$build" --prefix "$work/away" >/dev/null
touch "$work/away/sbin/mine"
cmake --build "$build" --target uninstall >/dev/null || fail "uninstall"
[ "$(cd "$work/away" && find . ! -type d)" = ./sbin/mine ] || fail "what uninstall leaves: $(find "$work/away" ! -type d)"

# Everything that is installed is in it, compressed where Debian wants that, and readable for all.
cmake --install "$build" --prefix "$work/usr" >/dev/null
(cd "$work/usr" && find . -type f) | sed -E 's,(/man/.*),\1.gz,; s,zsh/site-functions,zsh/vendor-completions,' | sort >"$work/installed"
(cd "$root/usr" && find . -type f) | sort >"$work/packed"
printf './share/doc/extscrub/%s\n' changelog.gz changelog.Debian.gz copyright | sort -m - "$work/installed" | sort |
  diff - "$work/packed" >&2 || fail "other files are in the package than make install installs (<)"
find "$root/usr" ! -perm -a=r -print -o -type d ! -perm -a=x -print | grep . && fail "not readable for all"
gzip -dc "$root/usr/share/doc/extscrub/changelog.Debian.gz" >"$work/changelog"
[ "$(dpkg-parsechangelog -l "$work/changelog" -S Version)" = "$version" ] ||
  fail "CHANGELOG.md begins with $(dpkg-parsechangelog -l "$work/changelog" -S Version), the package is $version"

if [ "$(id -u)" = 0 ]; then
  # What an administrator and the units have made.
  mkdir -p "$root/var/lib/extscrub" "$root/etc/extscrub" "$root/etc/systemd/system/timers.target.wants"
  touch "$root/var/lib/extscrub/last"
  ln -s /usr/lib/systemd/system/extscrub.timer "$root/etc/systemd/system/timers.target.wants/"
  expect 0 "${dpkg[@]}" --remove extscrub
  [ ! -L "$root/etc/systemd/system/timers.target.wants/extscrub.timer" ] || fail "the timer is still enabled"
  [ -e "$root/var/lib/extscrub/last" ] || fail "the state is gone before it is purged"
  expect 0 "${dpkg[@]}" --purge extscrub
  [ ! -e "$root/var/lib/extscrub" ] || fail "the state is left"
  find "$root" -path "$root/var" -prune -o -type f -print | grep . && fail "these files are left"
fi
conclude
