#include "scan/image/block_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include "scan/image/temporary_file.h"

namespace extscrub {

namespace {

constexpr size_t kSmallChunk = size_t{64} << 10, kLargeChunk = size_t{4} << 20;  // bytes

Error temporary_file_error(const std::string& directory, int error) {
  return Error{.what = "cannot put staged blocks into a temporary file in " + directory,
               .kind = ErrorKind::system,
               .code = error,
               .advice = "set TMPDIR, or allow more --overlay-memory"};
}

}  // namespace

BlockStore::BlockStore(BlockStore&& other) noexcept
    : block_size_(other.block_size_), memory_(other.memory_), memory_bytes_(other.memory_bytes_), file_bytes_(other.file_bytes_),
      heap_(std::move(other.heap_)), mapped_(std::exchange(other.mapped_, {})), file_(std::exchange(other.file_, -1)),
      next_(std::exchange(other.next_, nullptr)), left_(std::exchange(other.left_, 0)) {}

BlockStore& BlockStore::operator=(BlockStore&& other) noexcept {
  std::swap(block_size_, other.block_size_);
  std::swap(memory_, other.memory_);
  std::swap(memory_bytes_, other.memory_bytes_);
  std::swap(file_bytes_, other.file_bytes_);
  std::swap(heap_, other.heap_);
  std::swap(mapped_, other.mapped_);
  std::swap(file_, other.file_);
  std::swap(next_, other.next_);
  std::swap(left_, other.left_);
  return *this;
}

BlockStore::~BlockStore() {
  for (const Mapping& m : mapped_) ::munmap(m.at, m.bytes);
  if (file_ >= 0) ::close(file_);
}

Result<std::byte*> BlockStore::allocate() {
  if (left_ < block_size_)
    if (auto r = add_chunk(); !r) return std::unexpected(r.error());
  left_ -= block_size_;
  return std::exchange(next_, next_ + block_size_);
}

Result<void> BlockStore::add_chunk() {
  // The first chunks are small: most repairs are.
  const size_t bytes = std::max<size_t>(block_size_, memory_bytes_ < kLargeChunk ? kSmallChunk : kLargeChunk);
  if (memory_bytes_ + bytes > memory_) return map_chunk(std::max<size_t>(block_size_, kLargeChunk));
  if (bytes >= kLargeChunk) {
    map_memory(bytes);
  } else {
    heap_.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
    take_chunk(heap_.back().get(), bytes);
  }
  memory_bytes_ += bytes;
  return {};
}

void BlockStore::take_chunk(std::byte* chunk, size_t bytes) {
  next_ = chunk;
  left_ = bytes;
}

// In huge pages where the kernel has them: a fault for every 4 KiB costs more than filling them.
void BlockStore::map_memory(size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  (void)::madvise(at, bytes, MADV_HUGEPAGE);  // only advice
  mapped_.push_back({at, bytes});
  take_chunk(static_cast<std::byte*>(at), bytes);
}

Result<void> BlockStore::map_chunk(size_t bytes) {
  const std::string directory = temporary_directory();
  if (file_ < 0 && (file_ = open_unnamed_file(directory)) < 0) return std::unexpected(temporary_file_error(directory, errno));
  // Reserved now: a full disk would else be a signal at some later write to the mapping.
  if (const int error = ::posix_fallocate(file_, static_cast<off_t>(file_bytes_), static_cast<off_t>(bytes)))
    return std::unexpected(temporary_file_error(directory, error));
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, static_cast<off_t>(file_bytes_));
  if (at == MAP_FAILED) return std::unexpected(temporary_file_error(directory, errno));
  mapped_.push_back({at, bytes});
  file_bytes_ += bytes;
  take_chunk(static_cast<std::byte*>(at), bytes);
  return {};
}

}  // namespace extscrub
