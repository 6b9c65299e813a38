#include "cli/state/state_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "cli/files/output_file.h"
#include "cli/files/text_file.h"

namespace extscrub {

Result<StateDirectory> StateDirectory::open(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return std::unexpected(system_error("cannot make it", errno));
  StateDirectory directory;
  directory.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NONBLOCK);
  struct stat st{};
  if (directory.fd_ < 0 || ::fstat(directory.fd_, &st) != 0 ||
      ::faccessat(directory.fd_, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0)
    return std::unexpected(Error{"it is no directory that can be read and written"});
  if (st.st_uid != 0 && st.st_uid != ::geteuid())
    return std::unexpected(
        Error{fmt::format("it belongs to user {}, who could make up what is in it; use a directory of your own", st.st_uid)});
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return std::unexpected(
        Error{fmt::format("others than its owner may write to it; mend that with `chmod go-w {}`", path.native())});
  return directory;
}

Result<std::optional<std::string>> StateDirectory::read(const std::string& name) const {
  auto text = read_text_file(name, "it", {.directory = fd_, .follow_link = false});
  if (text) return std::move(*text);
  if (text.error().kind == ErrorKind::system && text.error().code == ENOENT) return std::nullopt;
  return std::unexpected(text.error());
}

Result<void> StateDirectory::write(const std::string& name, const std::string& text) const {
  auto file = OutputFile::create_in(fd_, name, 0600);
  if (!file) return std::unexpected(file.error());
  return file->finish(text);
}

Result<void> StateDirectory::remove(const std::string& name) const {
  if (::unlinkat(fd_, name.c_str(), 0) != 0 && errno != ENOENT) return std::unexpected(system_error("cannot remove it", errno));
  return {};
}

StateDirectory::StateDirectory(StateDirectory&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

StateDirectory& StateDirectory::operator=(StateDirectory&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

StateDirectory::~StateDirectory() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace extscrub
