#!/bin/bash
# table_mounts.sh DIR: has the kernel mount every image (*.img) in DIR, read-only and then, a copy of it, read and write, and
# read every file, name and attribute each time. The last line counts them. Fails when the kernel refuses one, cannot read all of
# it, or writes of an error.
if [ -z "${EXTSCRUB_OWN_MOUNTS:-}" ] && unshare -m --propagation private true 2>/dev/null; then
  EXTSCRUB_OWN_MOUNTS=yes exec unshare -m --propagation private "$BASH" "$0" "$@"
fi
. "$(dirname "$0")/../support/scenario.sh" /bin/true # runs no program but the kernel
need_root
images=$(realpath "${1:?directory of images}")
truncate -s 4M "$work/probe.img"
mke2fs -q -F "$work/probe.img"
mkdir "$work/mnt"
need_mount -o ro,loop "$work/probe.img" "$work/mnt"
umount "$work/mnt"
mounted=("$work/mnt")

now() { cut -d' ' -f1 /proc/uptime; }
errors_between() { # SECONDS SECONDS since boot, DEVICE: what the kernel said of it then; before and after it is somebody else's
  dmesg | awk -v since="$1" -v until="$2" -v device="($3)" -v other="(device $3)" '
    /EXT4-fs (error|warning)|JBD2.*(rror|orrupt)/ && (index($0, device) || index($0, other) || index($0, device ":")) {
      time = $0; sub(/^\[ */, "", time)
      if (time + 0 >= since + 0 && time + 0 <= until + 0) print
    }' | grep -v -e 'maximal mount count reached' -e 'checktime reached' || :
}

read_all() { # it may take no longer: the kernel can hang on an image
  timeout 20 find "$work/mnt" -xdev \( -type f -exec cat {} + \) -o -type l -printf '%l\n' -o -ls >/dev/null 2>"$work/why" || return 1
  [ ! -s "$work/why" ] || return 1
  ! command -v getfattr >/dev/null || timeout 20 getfattr -R -h -d -m - "$work/mnt" >/dev/null 2>"$work/why" || return 1
}

# One mount; says what is wrong.
look_at() { # IMAGE OPTION
  local since until device wrong=
  since=$(now)
  timeout 20 mount -t ext4 -o "$2,loop" "$1" "$work/mnt" 2>"$work/why" || { dmesg | tail -n 2 | grep -q CONFIG_ && echo unsupported || echo "refused: $(tail -1 "$work/why")"; return; }
  device=$(findmnt -no SOURCE "$work/mnt")
  read_all || wrong="not readable: $(tail -1 "$work/why")"
  if [ "$2" = rw ]; then
    { echo "$RANDOM" >"$work/mnt/.written" && rm "$work/mnt/.written"; } 2>"$work/why" || wrong+=" not writable: $(tail -1 "$work/why")"
  fi
  until=$(now)
  timeout 20 umount "$work/mnt" || wrong+=" not unmounted"
  wrong+=$(errors_between "$since" "$until" "${device#/dev/}" | tail -1)
  echo "$wrong"
}

count=0 bad=0 unsupported=0 # by this kernel, which takes no sound image with the feature either
for image in "$images"/*.img; do
  [ -e "$image" ] || skip "no images in $images"
  count=$((count + 1))
  wrong=$(look_at "$image" ro)
  # Such an image can only be read.
  if [ -z "$wrong" ] && ! dumpe2fs -h "$image" 2>/dev/null | grep -q '^Filesystem features:.*\(read-only\|shared_blocks\)'; then
    cp --sparse=always "$image" "$work/copy.img"
    wrong=$(look_at "$work/copy.img" rw)
  fi
  [ "$wrong" != unsupported ] || { unsupported=$((unsupported + 1)); continue; }
  [ -z "$wrong" ] || { bad=$((bad + 1)); fail "$(basename "$image"): $wrong"; }
done
echo "mounted read-only and writable: $((count - bad - unsupported)) of $count; $unsupported with features that this kernel lacks"
conclude
