// The file of an undo log while it is made: it takes a name that nobody has, and is gone again unless it is kept.
// One owner, one thread.
#pragma once

#include <chrono>
#include <filesystem>

#include "scan/format/error.h"
#include "scan/format/ondisk.h"

namespace extscrub {

struct UndoPlace {
  std::filesystem::path path;
  bool number_when_taken = false;  // FILE-2, FILE-3, ... where there is a FILE; otherwise that is an error
};

// IMAGE.extscrub-undo-TIME, beside the file a symbolic link leads to; for a block device in the current directory,
// because /dev does not outlive the machine's run. TIME as 20261124T081200Z.
// What all of them begin with, IMAGE.extscrub-undo-, is undo_prefix().
[[nodiscard]] std::filesystem::path undo_prefix(const std::filesystem::path& image);
[[nodiscard]] UndoPlace default_undo_place(const std::filesystem::path& image, std::chrono::system_clock::time_point now);

class UndoFile {
 public:
  // A new file for its owner's eyes only. Errors: there is one already, no permission, no space, no such directory.
  [[nodiscard]] static Result<UndoFile> create(const UndoPlace& place);

  // 0, or the errno.
  [[nodiscard]] int write(uint64_t at, Bytes bytes);

  // fsync of the file, then of its directory, after which a power cut leaves both: 0, or the errno. What is read from
  // the file afterwards comes from the disk, where the kernel allows that.
  [[nodiscard]] int make_durable();

  void keep() { kept_ = true; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  UndoFile(UndoFile&& other) noexcept;
  UndoFile& operator=(UndoFile&& other) noexcept;
  ~UndoFile();  // removes the file, unless it is kept

 private:
  UndoFile() = default;

  std::filesystem::path path_;
  int fd_ = -1;
  bool kept_ = false;
};

}  // namespace extscrub
