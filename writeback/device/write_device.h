// The file or block device under an image, as the write-back sees it: every byte it writes, reads back or flushes goes
// through here (io_uring writes go to the same descriptor). Tests put a decorator in its place that breaks things.
// write() and read() may be called from many threads on ranges that share no sector; flush() when nothing is on the
// way.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "scan/format/error.h"
#include "scan/format/ondisk.h"
#include "scan/image/image.h"

namespace extscrub {

class WriteDevice {
 public:
  virtual ~WriteDevice() = default;

  [[nodiscard]] virtual uint64_t size() const = 0;  // bytes, when it was opened

  // Bytes now; 0 when that cannot be told. Another one than size(): somebody cuts or extends what is written to, and what
  // was written behind the end is lost, or has made the end.
  [[nodiscard]] virtual uint64_t size_now() const { return size(); }

  [[nodiscard]] virtual bool direct() const = 0;    // O_DIRECT; otherwise O_DSYNC

  // What offset and length of a direct write must be multiples of, in bytes; 1 when direct() is false.
  [[nodiscard]] virtual uint32_t alignment() const = 0;

  // A completion of io_uring says the same as pwrite(2) would. Not so on FUSE, where the kernel makes EIO of a short
  // asynchronous write, nor without O_DIRECT, where nothing is asynchronous.
  [[nodiscard]] virtual bool suits_io_uring() const { return direct(); }

  // The descriptor for io_uring; takes aligned writes only.
  [[nodiscard]] virtual int descriptor() const = 0;

  // As pwrite(2): the bytes written, perhaps fewer, or -errno. Takes any offset, length and address; what is not
  // aligned goes out with O_DSYNC, so that a good return means the device has the bytes.
  [[nodiscard]] virtual ssize_t write(uint64_t at, Bytes bytes) = 0;

  // What is on the device, not in a cache: the bytes read (fewer only at the end), or -errno.
  [[nodiscard]] virtual ssize_t read(uint64_t at, MutableBytes out) = 0;

  // Makes everything written durable: 0, or an errno. A failed flush says nothing about which write is lost, and a
  // later good one does not take it back.
  [[nodiscard]] virtual int flush() = 0;
};

// Opens for writing: O_DIRECT where the file system under the image has it, O_DSYNC otherwise.
// `audited`: which file it has to be. Errors: cannot be opened for writing, neither a regular file nor a block device,
// another file than the one that was audited (code ESTALE).
[[nodiscard]] Result<std::unique_ptr<WriteDevice>> open_write_device(const std::filesystem::path& path,
                                                                     const std::optional<FileIdentity>& audited = {});

// Writes all of `bytes`; short writes go on, EINTR and EAGAIN are tried again. 0, or the errno.
[[nodiscard]] int write_fully(WriteDevice& device, uint64_t at, Bytes bytes);

// Reads all of `out`. 0, or the errno; EIO when the device ends before that.
[[nodiscard]] int read_fully(WriteDevice& device, uint64_t at, MutableBytes out);

}  // namespace extscrub
