// The contents of all regular files of an image, or of an image under its staged repairs. One thread.
#pragma once

#include <map>
#include <mutex>

#include "audit/auditor.h"
#include "scan/format/crc.h"
#include "scan/inodes/inode_scan.h"
#include "scan/load/load_file_system.h"
#include "scan/map/file_reader.h"
#include "tests/support/catch.h"

namespace extscrub::test {

// CRC-32C of the contents by inode number, of files with a link.
using Contents = std::map<uint32_t, uint32_t>;

inline Contents contents_of(const Image& image, const Overlay* overlay) {
  auto fs = load_superblock(image, overlay, {});
  REQUIRE(fs);
  Overlay plain(image, fs->geometry.block_size);
  fs->blocks = overlay ? overlay : &plain;
  load_descriptors(*fs);
  Contents contents;
  std::mutex mutex;
  const auto read = [&](const Inode& inode) {
    if (inode.type() != FileType::regular || !inode.has_block_map() || inode.base().i_links_count == 0) return;
    if (inode.number().value < EXT2_GOOD_OLD_FIRST_INO || inode.size() > 64 << 20) return;
    std::vector<std::byte> bytes(inode.size());
    const bool readable = FileReader(*fs, inode).read(0, bytes).has_value();
    const std::lock_guard lock(mutex);
    contents[inode.number().value] = readable ? crc32c(~0u, bytes) : 0;
  };
  REQUIRE(for_each_used_inode(*fs, nullptr, read));
  return contents;
}

}  // namespace extscrub::test
