#!/bin/bash
# Seen from the kernel: an audit opens the image read-only, and writes to nothing but its report.
. "$(dirname "$0")/../support/scenario.sh"
command -v strace >/dev/null || skip "needs strace"
make_image ext4-1k "$work/sound.img"
cp "$work/sound.img" "$work/spoilt.img"
spoil "$work/spoilt.img"
strace -o /dev/null true 2>/dev/null || skip "strace is not allowed to trace here"
# The leak checker of sanitizer builds cannot run in a traced process.
export ASAN_OPTIONS=detect_leaks=0

for image in sound spoilt; do
  before=$(sha256sum <"$work/$image.img")
  strace -f -y -e trace=open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,io_uring_setup,mmap \
    -o "$work/trace" "$extscrub" audit "$work/$image.img" >/dev/null 2>&1 || :
  grep -q "$image.img" "$work/trace" || fail "the audit never opened $image.img"
  grep "$image.img" "$work/trace" | grep -E 'O_WRONLY|O_RDWR|O_CREAT|O_TRUNC' >&2 && fail "$image.img was opened for writing"
  # A ring could write without a call that is seen here, but to no file that is not open for it.
  grep -E '(open|openat|creat)\(.*(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC)' "$work/trace" | grep -v '"/dev/' >&2 && fail "a file was opened for writing"
  grep -E '(pwrite64|pwritev2?|ftruncate|truncate|fallocate|copy_file_range)\(' "$work/trace" >&2 &&
    fail "a call that writes to files"
  grep -E 'mmap\(.*PROT_WRITE.*MAP_SHARED, [0-9]' "$work/trace" >&2 && fail "a file was mapped for writing"
  # The image is the only file that could be written to: what write() goes to must be stdout, stderr, or the pipe through
  # which the process of the image reports.
  grep -E 'write(v)?\(' "$work/trace" | grep -vE 'writev?\(([12]<|[0-9]+<pipe:)' >&2 && fail "a write to something else than the report"
  [ "$before" = "$(sha256sum <"$work/$image.img")" ] || fail "$image.img changed"
done

# And by permission: an image that nobody may write is audited like any other.
chmod 0444 "$work/sound.img"
expect 0 "$extscrub" audit "$work/sound.img"
conclude
