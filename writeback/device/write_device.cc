#include "writeback/device/write_device.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "writeback/device/aligned_buffer.h"
#include "writeback/device/write_progress.h"

namespace extscrub {

namespace {

constexpr size_t kBounce = 256 * 1024;
constexpr uint32_t kMaxAlignment = 64 * 1024;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// The alignment direct I/O on `fd` asks for; 0 when it does none. Some file systems take O_DIRECT at open and refuse
// the first read, and some take any read but cache what is not a whole block of theirs: so both are asked.
uint32_t direct_alignment(int fd) {
  uint32_t told = 512;
#ifdef STATX_DIOALIGN
  struct statx sx;
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 && (sx.stx_mask & STATX_DIOALIGN) != 0) {
    if (sx.stx_dio_offset_align == 0) return 0;
    told = std::max(told, sx.stx_dio_offset_align);
  }
#endif
  AlignedBuffer buffer(kMaxAlignment);
  for (uint32_t alignment = told; alignment <= kMaxAlignment; alignment *= 2) {
    // Read at `alignment`, not at 0, where every offset is aligned. An I/O error is for the commit to find.
    if (::pread(fd, buffer.bytes().data(), alignment, alignment) >= 0 || errno != EINVAL) return alignment;
  }
  return 0;
}

class FileDevice final : public WriteDevice {
 public:
  FileDevice(Descriptor direct, Descriptor synced, uint64_t size, uint32_t alignment)
      : direct_(std::move(direct)), synced_(std::move(synced)), size_(size), alignment_(alignment) {
    struct statfs fs;
    on_fuse_ = ::fstatfs(synced_.get(), &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC;
  }

  uint64_t size() const override { return size_; }
  uint64_t size_now() const override { return size_of_file(synced_.get(), {}).value_or(0); }
  bool direct() const override { return direct_.get() >= 0; }
  uint32_t alignment() const override { return direct() ? alignment_ : 1; }
  bool suits_io_uring() const override { return direct() && !on_fuse_; }
  int descriptor() const override { return direct() ? direct_.get() : synced_.get(); }

  ssize_t write(uint64_t at, Bytes bytes) override {
    const bool in_place = direct() && at % alignment_ == 0 && bytes.size() % alignment_ == 0 &&
                          reinterpret_cast<uintptr_t>(bytes.data()) % AlignedBuffer::kAlignment == 0;
    const ssize_t n = ::pwrite(in_place ? direct_.get() : synced_.get(), bytes.data(), bytes.size(), off_t(at));
    return n < 0 ? -errno : n;
  }

  ssize_t read(uint64_t at, MutableBytes out) override { return direct() ? read_direct(at, out) : read_dropped(at, out); }

  int flush() override { return ::fdatasync(descriptor()) < 0 ? errno : 0; }

 private:
  // Through a buffer that is aligned in memory, over the aligned range around [at, at + out.size()).
  ssize_t read_direct(uint64_t at, MutableBytes out) {
    const uint64_t begin = at - at % alignment_;
    const auto skip = static_cast<size_t>(at - begin);
    AlignedBuffer& bounce = bounce_buffer();
    const size_t want = std::min(bounce.size(), (skip + out.size() + alignment_ - 1) / alignment_ * alignment_);
    const ssize_t n = ::pread(direct_.get(), bounce.bytes().data(), want, off_t(begin));
    if (n < 0) return -errno;
    if (static_cast<size_t>(n) <= skip) return 0;
    const size_t got = std::min(out.size(), static_cast<size_t>(n) - skip);
    std::memcpy(out.data(), bounce.bytes().data() + skip, got);
    return static_cast<ssize_t>(got);
  }

  // Without O_DIRECT: the pages are clean after the flush, so the kernel can forget them before the read.
  ssize_t read_dropped(uint64_t at, MutableBytes out) {
    (void)::posix_fadvise(synced_.get(), off_t(at), off_t(out.size()), POSIX_FADV_DONTNEED);
    const ssize_t n = ::pread(synced_.get(), out.data(), out.size(), off_t(at));
    return n < 0 ? -errno : n;
  }

  static AlignedBuffer& bounce_buffer() {
    thread_local AlignedBuffer buffer(kBounce);
    return buffer;
  }

  Descriptor direct_;  // O_DIRECT, or none
  Descriptor synced_;  // O_DSYNC: everything without O_DIRECT; with it, the odd ends
  uint64_t size_;
  uint32_t alignment_;
  bool on_fuse_ = false;
};

// The path is followed anew for each descriptor, and may lead elsewhere by now.
Result<Descriptor> open_audited(const std::filesystem::path& path, int flags, const std::optional<FileIdentity>& audited) {
  Descriptor opened(::open(path.c_str(), flags | O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (opened.get() < 0) return std::unexpected(file_error("cannot open", path.string(), errno, " for writing"));
  const auto identity = identify_file(opened.get(), path);
  if (!identity) return std::unexpected(identity.error());
  if (audited && *identity != *audited)
    return std::unexpected(Error{.code = ESTALE,
                                 .subject = path.string(),
                                 .after = " was replaced by another file since it was opened; nothing was written"});
  return opened;
}

}  // namespace

Result<std::unique_ptr<WriteDevice>> open_write_device(const std::filesystem::path& path,
                                                       const std::optional<FileIdentity>& audited) {
  auto synced = open_audited(path, O_DSYNC, audited);
  if (!synced) return std::unexpected(synced.error());
  const auto identity = identify_file(synced->get(), path);
  if (!identity) return std::unexpected(identity.error());
  const auto size = size_of_file(synced->get(), path);
  if (!size) return std::unexpected(size.error());

  Descriptor direct;
  if (auto opened = open_audited(path, O_DIRECT, *identity))
    direct = std::move(*opened);
  else if (opened.error().code != EINVAL)  // that the file system under the image has no O_DIRECT
    return std::unexpected(opened.error());
  uint32_t alignment = 1;
  if (direct.get() >= 0 && (alignment = direct_alignment(direct.get())) == 0) direct = Descriptor();
  return std::make_unique<FileDevice>(std::move(direct), std::move(*synced), *size, alignment);
}

int write_fully(WriteDevice& device, uint64_t at, Bytes bytes) {
  WriteProgress progress;
  while (progress.done() < bytes.size()) {
    progress.pause();
    const ssize_t n = device.write(at + progress.done(), bytes.subspan(progress.done()));
    if (const int error = progress.take(n, bytes.size(), 1)) return error;
  }
  return 0;
}

int read_fully(WriteDevice& device, uint64_t at, MutableBytes out) {
  unsigned retries = 0;
  while (!out.empty()) {
    const ssize_t n = device.read(at, out);
    if (n == 0) return EIO;
    if (n < 0) {
      if ((n == -EINTR || n == -EAGAIN) && ++retries <= WriteProgress::kMaxRetries) continue;
      return static_cast<int>(-n);
    }
    at += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
  return 0;
}

}  // namespace extscrub
