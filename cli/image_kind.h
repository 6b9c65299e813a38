// What a name of the command line stands for: an image as it is, a compressed one, a virtual disk, or a disk that an
// NBD server has. Only looks at the first and the last bytes: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace extscrub {

enum class ImageForm : uint8_t {
  plain,         // a file or a block device, to be opened as it is; also what cannot be read: who opens it says why
  compressed,    // `format`: "zstd", "gzip" or "xz"
  virtual_disk,  // `format`: what qemu calls it: "qcow2", "vmdk", "vhdx", "vpc" or "vdi"
  nbd,           // no file, but a URI
};

struct ImageKind {
  ImageForm form = ImageForm::plain;
  std::string format = {};
};

// By the magic number. What has the one of an ext file system as well is an image as it is, unless its name ends like
// that of a compressed image or a virtual disk: an image may begin with any boot code.
[[nodiscard]] ImageKind kind_of(const std::string& name);

// Begins with nbd:// or nbd+unix://, or with nbds:// or nbds+unix:// (TLS): see nbd_connect_uri(3).
[[nodiscard]] bool is_nbd_uri(std::string_view name);

}  // namespace extscrub
