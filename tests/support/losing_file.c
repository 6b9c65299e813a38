/*
 * losing_file BACKING MOUNTPOINT LOST: serves BACKING as MOUNTPOINT/image, and says "done" to every write while it drops the bytes
 * that the file LOST names, one range a line: OFFSET LENGTH. LOST is read again for every write, and need not exist. What was
 * dropped is told on standard output: lost OFFSET LENGTH. In the foreground; ends with fusermount3 -u.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int backing;
static const char *lost;

static int do_getattr(const char *path, struct stat *st, struct fuse_file_info *fi) {
  (void)fi;
  memset(st, 0, sizeof *st);
  if (strcmp(path, "/") == 0) {
    st->st_mode = S_IFDIR | 0755;
    st->st_nlink = 2;
    return 0;
  }
  if (strcmp(path, "/image") != 0) return -ENOENT;
  if (fstat(backing, st)) return -errno;
  st->st_mode = S_IFREG | 0600;
  return 0;
}

static int do_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *fi, enum fuse_readdir_flags flags) {
  (void)path, (void)offset, (void)fi, (void)flags;
  fill(buffer, "image", NULL, 0, 0);
  return 0;
}

static int do_open(const char *path, struct fuse_file_info *fi) {
  fi->direct_io = 1;
  return strcmp(path, "/image") == 0 ? 0 : -ENOENT;
}

static int do_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *fi) {
  (void)path, (void)fi;
  const ssize_t n = pread(backing, buffer, size, offset);
  return n < 0 ? -errno : (int)n;
}

/* Where the first of the lost bytes in [from, end) lie; `end` when there are none. */
static off_t next_lost(off_t from, off_t end, off_t *lost_end) {
  off_t first = end;
  long long at, length;
  FILE *file = fopen(lost, "r");
  while (file && fscanf(file, "%lld %lld", &at, &length) == 2) {
    if (at + length <= from || at >= first) continue;
    first = at > from ? at : from;
    *lost_end = at + length < end ? at + length : end;
  }
  if (file) fclose(file);
  return first;
}

static int do_write(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *fi) {
  (void)path, (void)fi;
  const off_t end = offset + (off_t)size;
  for (off_t at = offset; at < end;) {
    off_t behind = end;
    const off_t stop = next_lost(at, end, &behind);
    if (stop > at && pwrite(backing, buffer + (at - offset), (size_t)(stop - at), at) != stop - at) return -EIO;
    if (stop < end) printf("lost %lld %lld\n", (long long)stop, (long long)(behind - stop)), fflush(stdout);
    at = stop < end ? behind : end;
  }
  return (int)size;
}

static int do_fsync(const char *path, int data_only, struct fuse_file_info *fi) {
  (void)path, (void)data_only, (void)fi;
  return 0;
}

int main(int argc, char **argv) {
  static const struct fuse_operations operations = {
      .getattr = do_getattr, .readdir = do_readdir, .open = do_open, .read = do_read, .write = do_write, .fsync = do_fsync};
  if (argc != 4) return 2;
  lost = argv[3];
  backing = open(argv[1], O_RDWR);
  if (backing < 0) return perror(argv[1]), 1;
  char *arguments[] = {argv[0], "-f", "-s", argv[2], NULL};
  return fuse_main(4, arguments, &operations, NULL);
}
