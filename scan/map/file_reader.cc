#include "scan/map/file_reader.h"

#include <algorithm>

namespace extscrub {

FileReader::FileReader(const FileSystem& fs, const Inode& inode) : fs_(fs), block_(fs.geometry.block_size) {
  RunList list;
  MapWalker walker(fs);
  sound_ = walker.walk(inode, list).defects.empty();
  runs_ = std::move(list.runs);
  std::ranges::stable_sort(runs_, {}, &Run::logical);
}

Result<void> FileReader::read(uint64_t at, MutableBytes out) {
  const uint32_t size = fs_.geometry.block_size;
  while (!out.empty()) {
    const uint64_t logical = at / size;
    const size_t offset = at % size, n = std::min<size_t>(out.size(), size - offset);
    auto it = std::ranges::upper_bound(runs_, logical, {}, &Run::logical);
    const bool mapped = it != runs_.begin() && logical - (--it)->logical < it->count && !it->unwritten;
    if (!mapped) {
      std::ranges::fill(out.first(n), std::byte{0});
    } else {
      const BlockNo block = it->physical + (logical - it->logical);
      if (block != loaded_) {
        loaded_ = BlockNo();
        if (auto r = fs_.blocks->read(block, block_); !r) return r;
        loaded_ = block;
      }
      std::memcpy(out.data(), block_.data() + offset, n);
    }
    out = out.subspan(n);
    at += n;
  }
  return {};
}

}  // namespace extscrub
