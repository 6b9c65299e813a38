#include "writeback/undo_log/undo_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "writeback/device/beside.h"

namespace extscrub {

namespace {

constexpr int kMaxNumber = 1000;

std::string time_text(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                     utc.tm_sec);
}

}  // namespace

std::filesystem::path undo_prefix(const std::filesystem::path& image) { return path_beside(image, ".extscrub-undo-"); }

UndoPlace default_undo_place(const std::filesystem::path& image, std::chrono::system_clock::time_point now) {
  return {undo_prefix(image) += time_text(now), true};
}

Result<UndoFile> UndoFile::create(const UndoPlace& place) {
  UndoFile file;
  file.path_ = place.path;
  for (int number = 2;; ++number) {
    file.fd_ = ::open(file.path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file.fd_ >= 0) return file;
    if (errno != EEXIST || !place.number_when_taken || number > kMaxNumber)
      return std::unexpected(file_error("cannot make", file.path_.string(), errno));
    file.path_ = place.path.string() + fmt::format("-{}", number);
  }
}

int UndoFile::write(uint64_t at, Bytes bytes) { return write_all(fd_, at, bytes); }

int UndoFile::make_durable() {
  if (::fsync(fd_) < 0) return errno;
  if (const int error = sync_directory_of(path_)) return error;
  (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
  return 0;
}

UndoFile::UndoFile(UndoFile&& other) noexcept { *this = std::move(other); }

UndoFile& UndoFile::operator=(UndoFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(kept_, other.kept_);
  return *this;
}

UndoFile::~UndoFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!kept_) ::unlink(path_.c_str());
}

}  // namespace extscrub
