// What a name of the command line stands for: an image as it is, a compressed one, a virtual disk, or a disk that an
// NBD server has. Only looks at the first and the last bytes: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scan/format/error.h"

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
  std::string warning = {};  // its name says something else; empty: it does not
};

// `virtual_disk`: what the operator says it is: a format, or "raw" for the file as it is; empty: by its name.
// A virtual disk is one only where the operator or its name says so, and its magic number too: the bytes of a raw disk
// are its guest's, who may write any header there. A compressed image is known by its magic number. What has that of an
// ext file system as well is an image as it is, unless its name says otherwise: an image may begin with any boot code.
// Errors: the file looks like a virtual disk, but nobody said so; it is not what was said.
[[nodiscard]] Result<ImageKind> kind_of(const std::string& name, const std::string& virtual_disk = {});

// Begins with nbd:// or nbd+unix://, or with nbds:// or nbds+unix:// (TLS): see nbd_connect_uri(3).
[[nodiscard]] bool is_nbd_uri(std::string_view name);

}  // namespace extscrub
