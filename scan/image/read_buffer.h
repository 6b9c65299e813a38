// Room for what is read. Not filled before: of a large buffer, a small image touches the first pages only.
#pragma once

#include <memory>

#include "scan/format/ondisk.h"

namespace extscrub {

class ReadBuffer {
 public:
  ReadBuffer() = default;
  explicit ReadBuffer(size_t bytes) : bytes_(std::make_unique_for_overwrite<std::byte[]>(bytes)), size_(bytes) {}

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] std::byte* data() { return bytes_.get(); }
  [[nodiscard]] MutableBytes first(size_t bytes) { return MutableBytes(bytes_.get(), size_).first(bytes); }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_ = 0;
};

}  // namespace extscrub
