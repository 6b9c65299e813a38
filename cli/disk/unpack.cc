#include "cli/disk/unpack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#ifdef EXTSCRUB_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#endif

#include "cli/disk/identify.h"
#include "scan/image/image.h"
#include "scan/image/temporary_file.h"
#include "scan/load/load_file_system.h"

namespace extscrub {

namespace {

struct Compression {
  std::string_view name, suffix, magic;
};

using namespace std::string_view_literals;
constexpr Compression kCompressions[] = {
    {"zstd", ".zst", "\x28\xb5\x2f\xfd"sv}, {"gzip", ".gz", "\x1f\x8b"sv}, {"xz", ".xz", "\xfd\x37zXZ\0"sv}};

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
  return Error{fmt::format("cannot be unpacked: {}", text ? text : "unknown error")};
}

Error copy_error(int code) {
  return system_error(fmt::format("cannot put the unpacked image into {} (TMPDIR says where)", temporary_directory()), code);
}

bool is_zero(std::span<const char> data) {
  return data.front() == 0 && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0;
}

// Writes what is not zero. Returns 0 or an errno.
int write_sparse(int fd, std::span<const char> data, int64_t at) {
  while (!data.empty()) {
    const size_t room = kHole - static_cast<size_t>(at) % kHole;
    const auto piece = data.first(std::min(room, data.size()));
    size_t done = is_zero(piece) ? piece.size() : 0;
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

constexpr uint64_t kHead = 1 << 20;                    // all partition tables and signatures are in it
constexpr uint64_t kFirstBackups = uint64_t{136} << 20;  // of blocks of up to 4096 bytes, behind the first group
constexpr uint64_t kSlack = uint64_t{64} << 20;
constexpr off_t kLooksLarge = off_t{1} << 43;  // a partition table that goes beyond the end is none

std::string as_size(uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

// What has come out so far, and how much may.
class Gauge {
 public:
  Gauge(int fd, const UnpackLimits& limits) : fd_(fd), limits_(limits) {
    struct statvfs fs{};
    if (::fstatvfs(fd, &fs) == 0) half_free_ = uint64_t{fs.f_bavail} * fs.f_frsize / 2;
  }

  // `end`: bytes that are in the copy. Error: it is no image, or longer than it may be.
  [[nodiscard]] Result<void> check(uint64_t end) {
    if (!limits_.any_head && !said_ && end >= (looked_ ? kFirstBackups : kHead))
      if (auto looked = look(end); !looked) return looked;
    if (limits_.most) return end <= *limits_.most ? Result<void>() : too_long(*limits_.most, "the limit it was given");
    if (end > half_free_) return too_long(half_free_, "half of the free space of " + temporary_directory());
    const uint64_t expected = said_ ? *said_ * 2 + kSlack : half_free_;
    return end <= expected ? Result<void>() : too_long(expected, "what its superblock or partition table allows for");
  }

 private:
  static Result<void> too_long(uint64_t limit, const std::string& why) {
    return std::unexpected(
        Error{fmt::format("unpacks to more than {}, {}; --max-unpacked SIZE allows for more", as_size(limit), why)});
  }

  Result<void> look(uint64_t end) {
    const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return std::unexpected(copy_error(errno));
    // A file beyond this limit would end the process.
    struct rlimit most{};
    if (::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur >= static_cast<rlim_t>(kLooksLarge))
      (void)!::ftruncate(fd_, kLooksLarge);
    const auto image = Image::adopt(copy, "unpacked");
    if (image) said_ = size_in(*image);
    const auto other = image && !said_ ? what_else(*image) : std::nullopt;
    (void)!::ftruncate(fd_, static_cast<off_t>(end));
    if (other) return std::unexpected(Error{fmt::format("is compressed, and {}", *other)});
    if (!said_ && looked_)
      return std::unexpected(Error{fmt::format(
          "is compressed, and holds no ext2/3/4 superblock and no partition table: unpacking ended after {}", as_size(end))});
    looked_ = true;
    return {};
  }

  // By the primary superblock, a partition table, or a backup where one could be; what they say is a stranger's word.
  static std::optional<uint64_t> size_in(const Image& image) {
    constexpr uint64_t kMost = uint64_t{1} << 60;
    if (const auto table = find_partitions(image)) {
      uint64_t end = 0;
      for (const Partition& one : table->partitions)
        end = std::max(end, std::min(one.offset, kMost) + std::min(one.length, kMost));
      if (end != 0) return end;
    }
    if (!has_ext_magic(image) && foreign_file_system(image)) return std::nullopt;
    LoadOptions options;
    options.search = false;  // most of it is not unpacked yet
    const auto fs = load_superblock(image, nullptr, options);
    // Damaged; the audit will say how. There is no size to go by.
    if (!fs) return has_ext_magic(image) ? std::optional(kMost / 4) : std::nullopt;
    return std::min(fs->geometry.blocks, kMost / fs->geometry.block_size) * fs->geometry.block_size;
  }

  static std::optional<std::string> what_else(const Image& image) {
    std::array<char, 5> tar{};
    if (image.read(257, std::as_writable_bytes(std::span(tar))) && std::string_view(tar.data(), tar.size()) == "ustar")
      return "holds a tar archive, not ext2/3/4";
    return foreign_file_system(image);
  }

  int fd_;
  UnpackLimits limits_;
  uint64_t half_free_ = std::numeric_limits<uint64_t>::max();
  bool looked_ = false;
  std::optional<uint64_t> said_;  // bytes, by what it holds
};

}  // namespace

Result<UnpackedImage> unpack(const std::string& path, const UnpackLimits& limits, const std::atomic<bool>* stop) {
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
  Gauge gauge(fd, limits);
  const void* data = nullptr;
  size_t size = 0;
  int64_t at = 0, end = 0;
  int status = ARCHIVE_OK;
  while ((status = archive_read_data_block(archive.get(), &data, &size, &at)) == ARCHIVE_OK) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return std::unexpected(Error::cancelled());
    if (const int error = write_sparse(fd, {static_cast<const char*>(data), size}, at)) return std::unexpected(copy_error(error));
    end = at + static_cast<int64_t>(size);
    if (auto checked = gauge.check(static_cast<uint64_t>(end)); !checked) return std::unexpected(checked.error());
  }
  if (status != ARCHIVE_EOF) return std::unexpected(unpack_error(archive.get()));
  if (::ftruncate(fd, end) < 0) return std::unexpected(copy_error(errno));
  return copy;
}

#else

Result<UnpackedImage> unpack(const std::string&, const UnpackLimits&, const std::atomic<bool>*) {
  return std::unexpected(Error{"is compressed, and this extscrub was built without libarchive; unpack it first"});
}

#endif

}  // namespace extscrub
