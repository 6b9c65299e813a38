// The lock a scrub holds from before its audit until its commit is over, and the look at who else uses the image.
// One owner; the lock goes with the object.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "scan/image.h"

namespace extscrub {

// Who uses the image besides us: "it is mounted on /mnt", "loop device /dev/loop0 is attached to it"; nothing when
// nobody is known to. Looks at /proc/self/mountinfo and the loop devices of /sys/block; needs no privilege.
[[nodiscard]] std::optional<std::string> image_in_use(const std::filesystem::path& path);

class ImageLock {
 public:
  // Errors: the image cannot be opened, is in use (image_in_use), or another scrub holds it (code EBUSY).
  [[nodiscard]] static Result<ImageLock> acquire(const std::filesystem::path& path);

  // Which file is locked: its path may lead to another one by now.
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }

  ImageLock(ImageLock&& other) noexcept;
  ImageLock& operator=(ImageLock&& other) noexcept;
  ~ImageLock();

 private:
  ImageLock() = default;
  int fd_ = -1;
  FileIdentity identity_;
};

}  // namespace extscrub
