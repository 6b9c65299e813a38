#include "scan/image/overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace extscrub {

namespace {

// Image::read for whole blocks: the image may end inside the last one, never before it.
Result<void> read_padded(const Image& image, uint64_t at, MutableBytes out, uint32_t block_size) {
  if (at + out.size() > image.size() && at + out.size() - image.size() < block_size && at < image.size()) {
    const size_t there = image.size() - at;
    std::memset(out.data() + there, 0, out.size() - there);
    out = out.first(there);
  }
  return image.read(at, out);
}

}  // namespace

bool Overlay::lacks(BlockNo first, BlockNo end) const {
  for (BlockNo block = std::max(first, *end_); block < end; ++block)
    if (!has(block)) return true;
  return false;
}

// What is missing reads as zeros.
Result<void> Overlay::read_image(BlockNo first, MutableBytes out) const {
  if (end_ && first + out.size() / block_size_ > *end_) {
    const size_t there = first < *end_ ? (*end_ - first) * block_size_ : 0;
    std::memset(out.data() + there, 0, out.size() - there);
    out = out.first(there);
  }
  return read_padded(*image_, first.value * block_size_, out, block_size_);
}

Result<void> Overlay::read(BlockNo first, MutableBytes out) const {
  const BlockNo end = first + out.size() / block_size_;
  if (end_ && lacks(first, end))
    return std::unexpected(Error{fmt::format("the image ends before block {}", *end_), ErrorKind::truncated, EIO});
  if (auto r = read_image(first, out); !r) return r;
  if (blocks_.empty()) return {};
  for (auto it = blocks_.lower_bound(first); it != blocks_.end() && it->first < end; ++it)
    std::memcpy(out.data() + (it->first - first) * block_size_, it->second.after, block_size_);
  return {};
}

Result<MutableBytes> Overlay::edit(BlockNo block) {
  auto it = blocks_.find(block);
  if (it == blocks_.end()) {
    const auto first = store_.allocate(), second = first ? store_.allocate() : first;
    if (!second) return std::unexpected(second.error());
    const Entry entry{*first, *second};
    const MutableBytes before(entry.before, block_size_);
    if (auto r = read_image(block, before); !r) return std::unexpected(r.error());
    std::memcpy(entry.after, entry.before, block_size_);
    it = blocks_.emplace(block, entry).first;
  }
  return MutableBytes(it->second.after, block_size_);
}

std::vector<StagedBlock> Overlay::staged() const {
  std::vector<StagedBlock> out;
  for (const auto& [block, entry] : blocks_)
    if (std::memcmp(entry.before, entry.after, block_size_) != 0)
      out.push_back({block, Bytes(entry.before, block_size_), Bytes(entry.after, block_size_)});
  return out;
}

}  // namespace extscrub
