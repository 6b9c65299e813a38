// The bytes of an image: a regular file or a block device, or a partition in it, opened read-only.
// read() and prefetch() may be called from any number of threads.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "scan/format/error.h"
#include "scan/format/ondisk.h"
#include "scan/image/rate_limit.h"

namespace extscrub {

// Which file it is, whatever its names: two descriptors with the same identity reach the same bytes.
struct FileIdentity {
  bool block_device = false;
  uint64_t device = 0;  // of the device itself, or of the file system that the file is on
  uint64_t inode = 0;   // 0 for a block device
  bool operator==(const FileIdentity&) const = default;
};

// Errors: neither a regular file nor a block device.
[[nodiscard]] Result<FileIdentity> identify_file(int fd, const std::filesystem::path& path);

// Bytes of a regular file or a block device, as of now. Errors: as identify_file().
[[nodiscard]] Result<uint64_t> size_of_file(int fd, const std::filesystem::path& path);

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

  // A part of the same opening of the file: its path may lead to another one by now. Errors: as open().
  [[nodiscard]] Result<Image> part(uint64_t offset, std::optional<uint64_t> length) const;

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
  [[nodiscard]] bool is_block_device() const { return identity_.block_device; }
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }
  [[nodiscard]] uint64_t file_size() const { return file_size_; }  // bytes of the whole file when it was opened

  // Why what was read is not what the file has now; nothing while it has the size that it was opened with.
  [[nodiscard]] std::optional<std::string> resized() const;

 private:
  Image() = default;
  [[nodiscard]] Result<void> limit(uint64_t offset, std::optional<uint64_t> length);

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t offset_ = 0;
  uint64_t size_ = 0;
  FileIdentity identity_;
  uint64_t file_size_ = 0;
  std::shared_ptr<RateLimit> limit_;  // none: as fast as it goes
};

}  // namespace extscrub
