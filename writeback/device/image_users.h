// Who else uses an image, as far as the kernel tells: loop devices, mounts in any mount namespace, swap, device mapper
// and its like, and programs that say by locks that they have it open, as QEMU does. Works by the file's identity: its
// path may be gone, be another link, or lie in another mount namespace. Without privileges less is seen.
// Stateless: any thread.
#pragma once

#include <optional>
#include <string>

#include "scan/image/image.h"

namespace extscrub {

// "it is mounted on /mnt", "loop device /dev/loop0 is attached to it"; nothing when nobody is known to.
[[nodiscard]] std::optional<std::string> find_user(const FileIdentity& image);

// Whose locks stand on the open file: anybody's, or only of those who may change it. Locks taken through `fd` are none.
[[nodiscard]] std::optional<std::string> find_lock_holder(int fd, bool only_writers);

// Says by locks, as QEMU does, that the file is read and written and shared with nobody, until `fd` is closed: a virtual
// machine or a tool that is started meanwhile refuses it. False: somebody's lock forbids it. Where the file system has no
// locks there are none.
[[nodiscard]] bool take_locks(int fd);

}  // namespace extscrub
