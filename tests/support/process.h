// Runs other programs (mke2fs, debugfs, e2fsck, extscrub itself) for the tests, and gives them a place for their files.
// run() may be called from any thread; a TempDir belongs to one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace extscrub::test {

struct Outcome {
  int status = 0;      // exit status, or -N after signal N
  std::string output;  // stdout and stderr as they came
};

// Finds the program in PATH, /usr/sbin and /sbin; stdin is empty; the surroundings are fixed (LC_ALL=C, TZ=GMT0, no
// configuration of e2fsck, mke2fs by tests/support/mke2fs.conf). Throws when it cannot be started.
[[nodiscard]] Outcome run(const std::vector<std::string>& command);

// As run(), and throws, with what the program said, when it does not exit 0. Returns the output.
std::string run_or_throw(const std::vector<std::string>& command);

// A directory that goes away, with all in it, with the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace extscrub::test
