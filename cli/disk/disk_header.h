// The headers of virtual disks, as far as they name other files or keep the contents from being read. Whoever made the
// disk chose those names: nothing here opens one. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scan/image/image.h"

namespace extscrub {

struct FileReference {
  std::string role;         // "backing file", "data file", "extent" or "parent"
  std::string name;         // as the header has it; may be empty
  std::string format = {};  // of a backing file, where the header says so
};

struct DiskHeader {
  std::vector<FileReference> references;
  bool is_text = false;   // a VMDK descriptor in a file of its own: all contents are in its extents
  std::string no_reader;  // qemu cannot follow the references, and why; empty: it can
};

// "qcow2", "vmdk", "vhdx", "vpc" or "vdi" by the magic number; nothing for anything else.
[[nodiscard]] std::optional<std::string> disk_format_of(const Image& file);

// The last bytes are those of a VHD disk; one of fixed size has no other mark.
[[nodiscard]] bool has_vpc_footer(const Image& file);

// `format`: one of disk_format_of()'s.
// Errors: the file is not one of these, is of a version that is not known here, its header is damaged, it is encrypted.
[[nodiscard]] Result<DiskHeader> read_disk_header(const Image& file, std::string_view format);

// The part of read_disk_header() for VMDK: disk_header_vmdk.cc.
[[nodiscard]] Result<DiskHeader> read_vmdk_header(const Image& file);

}  // namespace extscrub
