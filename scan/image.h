// The bytes of an image: a regular file or a block device, opened read-only, from a byte offset on.
// read() and prefetch() may be called from any number of threads.
#pragma once

#include <filesystem>
#include <memory>

#include "scan/error.h"
#include "scan/ondisk.h"
#include "scan/rate_limit.h"

namespace extscrub {

class Image {
 public:
  // `offset`: where in the file the file system begins, in bytes (--offset).
  // Errors: no such file, no permission, a directory or another non-seekable kind, an empty file.
  [[nodiscard]] static Result<Image> open(const std::filesystem::path& path, uint64_t offset = 0);

  Image(Image&& other) noexcept;
  Image& operator=(Image&& other) noexcept;
  ~Image();

  // Fills `out` from byte `at` of the file system. Errors: EIO and its like, or the end of the image.
  [[nodiscard]] Result<void> read(uint64_t at, MutableBytes out) const;

  // From now on every read waits for its turn, and nothing is read ahead: neither by prefetch() nor by the kernel.
  void limit_rate(std::shared_ptr<RateLimit> limit);

  // Tells the kernel that these bytes will be read soon. Never fails.
  void prefetch(uint64_t at, uint64_t length) const noexcept;

  // Tells the kernel to keep none of these bytes in memory: the next read asks the disk. Never fails.
  void forget(uint64_t at, uint64_t length) const noexcept;

  [[nodiscard]] uint64_t size() const { return size_; }      // bytes from `offset` to the end
  [[nodiscard]] uint64_t offset() const { return offset_; }  // bytes
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] bool is_block_device() const { return is_block_device_; }

 private:
  Image() = default;

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t offset_ = 0;
  uint64_t size_ = 0;
  bool is_block_device_ = false;
  std::shared_ptr<RateLimit> limit_;  // none: as fast as it goes
};

}  // namespace extscrub
