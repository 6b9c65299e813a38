#include "scan/image/temporary_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

namespace extscrub {

std::string temporary_directory() {
  const char* set = std::getenv("TMPDIR");
  return set && *set ? set : "/var/tmp";
}

namespace {

// Of the process, as its rights are.
std::atomic<int> reserved{-1};

}  // namespace

void reserve_unnamed_file(const std::string& directory) { reserved = open_unnamed_file(directory); }

int open_unnamed_file(const std::string& directory) {
  if (const int ahead = reserved.exchange(-1); ahead >= 0) return ahead;
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
  std::string name = directory + "/extscrub-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace extscrub
