#include "cli/unpack.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#ifdef EXTSCRUB_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#endif

#include "cli/identify.h"
#include "scan/image.h"
#include "scan/temporary_file.h"

namespace extscrub {

namespace {

struct Compression {
  std::string_view name, suffix, magic;
};

using namespace std::string_view_literals;
constexpr Compression kCompressions[] = {{"zstd", ".zst", "\x28\xb5\x2f\xfd"sv},
                               {"gzip", ".gz", "\x1f\x8b"sv},
                               {"xz", ".xz", "\xfd\x37zXZ\0"sv}};

}  // namespace

UnpackedImage::UnpackedImage(UnpackedImage&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

UnpackedImage::~UnpackedImage() {
  if (fd_ >= 0) ::close(fd_);
}

std::string UnpackedImage::path() const { return fmt::format("/proc/self/fd/{}", fd_); }

std::optional<std::string> compression_of(const std::string& path) {
  const auto file = Image::open(path);
  std::array<char, 6> head{};
  if (!file || file->is_block_device() || !file->read(0, std::as_writable_bytes(std::span(head)))) return std::nullopt;
  const std::string_view begin(head.data(), head.size());
  const auto format = std::ranges::find_if(kCompressions, [&](const Compression& f) { return begin.starts_with(f.magic); });
  // Compressed data may have the magic number's two bytes by chance; an image may begin with any boot code.
  if (format == std::end(kCompressions) || (has_ext_magic(*file) && !path.ends_with(format->suffix))) return std::nullopt;
  return std::string(format->name);
}

#ifdef EXTSCRUB_LIBARCHIVE

namespace {

struct CloseArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};
using Archive = std::unique_ptr<archive, CloseArchive>;

constexpr size_t kPiece = size_t{256} << 10;  // bytes of compressed data asked for at once
constexpr size_t kHole = 4096;                // bytes of zeros that are left out

Error unpack_error(archive* a) {
  const char* text = archive_error_string(a);
  return Error{fmt::format("cannot be unpacked: {}", text ? text : "unknown error"), EIO};
}

Error copy_error(int code) {
  return system_error(fmt::format("cannot put the unpacked image into {} (TMPDIR says where)", temporary_directory()), code);
}

// Writes what is not zero. Returns 0 or an errno.
int write_sparse(int fd, std::span<const char> data, int64_t at) {
  while (!data.empty()) {
    const size_t room = kHole - static_cast<size_t>(at) % kHole;
    const auto piece = data.first(std::min(room, data.size()));
    size_t done = std::ranges::all_of(piece, [](char c) { return c == 0; }) ? piece.size() : 0;
    while (done < piece.size()) {
      const ssize_t n = ::pwrite(fd, piece.data() + done, piece.size() - done, at + static_cast<int64_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n == 0 ? ENOSPC : errno;
      done += static_cast<size_t>(n);
    }
    at += static_cast<int64_t>(piece.size());
    data = data.subspan(piece.size());
  }
  return 0;
}

}  // namespace

Result<UnpackedImage> unpack(const std::string& path, const std::atomic<bool>* stop) {
  const Archive archive(archive_read_new());
  archive_entry* entry = nullptr;
  archive_read_support_filter_zstd(archive.get());
  archive_read_support_filter_gzip(archive.get());
  archive_read_support_filter_xz(archive.get());
  archive_read_support_format_raw(archive.get());
  if (archive_read_open_filename(archive.get(), path.c_str(), kPiece) != ARCHIVE_OK ||
      archive_read_next_header(archive.get(), &entry) != ARCHIVE_OK)
    return std::unexpected(unpack_error(archive.get()));

  const int fd = open_unnamed_file(temporary_directory());
  if (fd < 0) return std::unexpected(copy_error(errno));
  UnpackedImage copy(fd);
  const void* data = nullptr;
  size_t size = 0;
  int64_t at = 0, end = 0;
  int status = ARCHIVE_OK;
  while ((status = archive_read_data_block(archive.get(), &data, &size, &at)) == ARCHIVE_OK) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return std::unexpected(Error{"cancelled", ECANCELED});
    if (const int error = write_sparse(fd, {static_cast<const char*>(data), size}, at)) return std::unexpected(copy_error(error));
    end = at + static_cast<int64_t>(size);
  }
  if (status != ARCHIVE_EOF) return std::unexpected(unpack_error(archive.get()));
  if (::ftruncate(fd, end) < 0) return std::unexpected(copy_error(errno));
  return copy;
}

#else

Result<UnpackedImage> unpack(const std::string&, const std::atomic<bool>*) {
  return std::unexpected(Error{"is compressed, and this extscrub was built without libarchive; unpack it first"});
}

#endif

}  // namespace extscrub
