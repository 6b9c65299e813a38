// Memory for O_DIRECT: aligned to 4096 bytes, owned, of a size fixed at its making. Throws std::bad_alloc.
// A plain value: one owner at a time.
#pragma once

#include <algorithm>
#include <memory>
#include <new>

#include "scan/format/ondisk.h"

namespace extscrub {

class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 4096;

  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size)
      : data_(static_cast<std::byte*>(::operator new(std::max<size_t>(size, 1), std::align_val_t{kAlignment}))), size_(size) {}

  [[nodiscard]] MutableBytes bytes() { return {data_.get(), size_}; }
  [[nodiscard]] MutableBytes first(size_t n) { return bytes().first(n); }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace extscrub
