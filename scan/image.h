// The bytes of an image: a regular file or a block device, or a partition in it, opened read-only.
// read() and prefetch() may be called from any number of threads.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "scan/error.h"
#include "scan/ondisk.h"
#include "scan/rate_limit.h"

namespace extscrub {

class Image {
 public:
  // `offset`: where in the file the file system begins, in bytes (--offset). `length`: how many bytes it may have, where
  // the file goes on behind a partition; else all up to the file's end.
  // Errors: no such file, no permission, a directory or another non-seekable kind, an empty file.
  [[nodiscard]] static Result<Image> open(const std::filesystem::path& path, uint64_t offset = 0,
                                          std::optional<uint64_t> length = {});

  // The bytes of a file that is open already; `path` is what messages call it. Takes the descriptor over, always.
  // Errors: as open().
  [[nodiscard]] static Result<Image> adopt(int fd, const std::filesystem::path& path);

  Image(Image&& other) noexcept;
  Image& operator=(Image&& other) noexcept;
  ~Image();

  // Fills `out` from byte `at` of the file system. Errors: EIO and its like, or the end of the image.
  [[nodiscard]] Result<void> read(uint64_t at, MutableBytes out) const;

  // From now on every read waits for its turn, and nothing is read ahead: neither by prefetch() nor by the kernel.
  void limit_rate(std::shared_ptr<RateLimit> limit);

  // Whether anything is read before its turn: not with a limit to the rate.
  [[nodiscard]] bool reads_ahead() const { return limit_ == nullptr; }

  // Tells the kernel that these bytes will be read soon. Never fails.
  void prefetch(uint64_t at, uint64_t length) const noexcept;

  // Open for reading, for reads that go another way; byte 0 of the file system is at offset().
  [[nodiscard]] int descriptor() const { return fd_; }

  // Tells the kernel to keep none of these bytes in memory: the next read asks the disk. Never fails.
  void forget(uint64_t at, uint64_t length) const noexcept;

  [[nodiscard]] uint64_t size() const { return size_; }      // bytes from `offset` on
  [[nodiscard]] uint64_t offset() const { return offset_; }  // bytes
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] bool is_block_device() const { return is_block_device_; }

 private:
  Image() = default;
  [[nodiscard]] Result<void> limit(uint64_t offset, std::optional<uint64_t> length);

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t offset_ = 0;
  uint64_t size_ = 0;
  bool is_block_device_ = false;
  std::shared_ptr<RateLimit> limit_;  // none: as fast as it goes
};

}  // namespace extscrub
