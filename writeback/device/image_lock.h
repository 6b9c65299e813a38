// The lock a scrub holds from before its audit until its commit is over, and the look at who else uses the image.
// One owner; the lock goes with the object.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "scan/image/image.h"

namespace extscrub {

// Who uses the image besides us: "it is mounted on /mnt", "loop device /dev/loop0 is attached to it"; nothing when
// nobody is known to. Who only reads it is left out.
[[nodiscard]] std::optional<std::string> image_in_use(const std::filesystem::path& path);

class ImageLock {
 public:
  // Errors: the image cannot be opened, is in use (image_in_use), or another scrub holds it (code EBUSY).
  [[nodiscard]] static Result<ImageLock> acquire(const std::filesystem::path& path);
  // The same for an image that a server of ours has open: its locks are looked over, and it takes care of others'.
  [[nodiscard]] static Result<ImageLock> acquire_served(const std::filesystem::path& path);

  // Which file is locked: its path may lead to another one by now.
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }

  ImageLock(ImageLock&& other) noexcept;
  ImageLock& operator=(ImageLock&& other) noexcept;
  ~ImageLock();

 private:
  ImageLock() = default;
  [[nodiscard]] static Result<ImageLock> take(const std::filesystem::path& path, bool served);
  int fd_ = -1;
  FileIdentity identity_;
};

}  // namespace extscrub
