// Compressed images (zstd, gzip, xz), by libarchive: audited in a temporary copy, which is sparse and has no name.
// An UnpackedImage belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "scan/format/error.h"

namespace extscrub {

// The copy; it goes with the object.
class UnpackedImage {
 public:
  explicit UnpackedImage(int fd) : fd_(fd) {}
  UnpackedImage(UnpackedImage&& other) noexcept;
  UnpackedImage& operator=(UnpackedImage&&) = delete;
  ~UnpackedImage();

  // Where this process can open it.
  [[nodiscard]] std::string path() const;

 private:
  int fd_;
};

// "zstd", "gzip" or "xz" by the file's first bytes; nothing for anything else, for an image that only begins like one,
// and for what cannot be read.
[[nodiscard]] std::optional<std::string> compression_of(const std::string& path);

struct UnpackLimits {
  // Bytes, zeros included. Nothing: twice what the superblock or the partition table says, and 64 MiB; never more than
  // half of the free space.
  std::optional<uint64_t> most = {};
  // What it holds need not begin with a superblock or a partition table: the operator says where one is.
  bool any_head = false;
};

// Unpacks into $TMPDIR, or /var/tmp; stops when `stop` becomes true (null: never), and as soon as what comes out is no
// image: by its first MiB, or, where that says nothing, once the first backup superblock of any block size would be there.
// Errors: the data is damaged or ends early, is no image, exceeds a limit, no space, cancelled; a build without
// libarchive.
[[nodiscard]] Result<UnpackedImage> unpack(const std::string& path, const UnpackLimits& limits, const std::atomic<bool>* stop);

}  // namespace extscrub
