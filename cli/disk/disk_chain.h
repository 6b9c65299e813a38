// The files of a virtual disk, each opened once, and what qemu is told about them: every driver and every file by name,
// so that it opens nothing that a header names and probes nothing. A DiskChain belongs to one thread.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "scan/format/error.h"

namespace extscrub {

class DiskChain {
 public:
  // `format` as of read_disk_header(). `follow`: files that headers name are opened too, if they lie below the folder of
  // the image, links and ".." resolved; for reading, but for what holds the contents of a `writable` disk.
  // Errors: those of read_disk_header(), a header names another file and may not, or it cannot be had.
  [[nodiscard]] static Result<DiskChain> open(const std::string& name, const std::string& format, bool writable, bool follow);

  DiskChain(DiskChain&& other) noexcept;
  DiskChain& operator=(DiskChain&&) = delete;
  ~DiskChain();

  struct File {
    int fd;
    bool writable;
  };
  // The first is the image.
  [[nodiscard]] const std::vector<File>& files() const { return files_; }

  // What qemu is given as the name of the disk, when it has files()[i] as descriptor first + i. Parts of a disk that are
  // named in a text go by links in `folder` (made here, gone with this object), which are to be followed by qemu alone.
  // Error: the links cannot be made.
  [[nodiscard]] Result<std::string> qemu_name(int first, const std::string& folder);

 private:
  struct Node;
  DiskChain() = default;

  std::vector<File> files_;
  std::vector<Node> nodes_;                                      // the image first, what it is based on behind it
  std::vector<std::filesystem::path> made_;                      // folders and links, in this order
};

}  // namespace extscrub
