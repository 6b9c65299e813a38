#include "scan/map/symlink.h"

#include <algorithm>

namespace extscrub {

namespace {

uint64_t target_length(const Inode& inode, Bytes place) {
  // An encrypted target begins with its length, two bytes.
  if (inode.is(EXT4_ENCRYPT_FL)) return uint64_t{load<uint16_t>(place)} + sizeof(uint16_t);
  return static_cast<uint64_t>(std::ranges::find(place, std::byte{0}) - place.begin());
}

}  // namespace

uint64_t inline_data_size(const Inode& inode, const EaFacts* attributes) {
  const EaEntry* data = attributes ? attributes->find(kSystemIndex, "data") : nullptr;
  return data ? inode.block_area().size() + data->value_size : 0;
}

SymlinkFacts read_symlink(const FileSystem& fs, const Inode& inode, BlockNo block, const EaFacts* attributes,
                          const std::byte* fetched) {
  SymlinkFacts facts;
  if (inode.is(EXT4_INLINE_DATA_FL)) {
    facts.length = inline_data_size(inode, attributes);
    facts.room = facts.length + 1;
    if (facts.length == 0) facts.empty_reason = "the attribute system.data is missing";
    return facts;
  }
  if (inode.is_fast_symlink()) {
    facts.room = inode.block_area().size();
    facts.length = target_length(inode, inode.block_area());
    return facts;
  }
  if (!block) {
    facts.empty_reason = "it has not one block, at the begin";
    return facts;
  }
  facts.room = fs.geometry.block_size;
  if (fetched) {
    facts.length = target_length(inode, Bytes(fetched, fs.geometry.block_size));
    return facts;
  }
  std::vector<std::byte> bytes(fs.geometry.block_size);
  facts.readable = fs.blocks->read(block, bytes).has_value();
  if (facts.readable) facts.length = target_length(inode, bytes);
  return facts;
}

}  // namespace extscrub
