// The scan of the inodes as a target needs it: on the calling thread, with a sink that looks at what it is given.
// Belongs to one thread.
#pragma once

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include "scan/inodes/inode_scan.h"
#include "scan/load/load_file_system.h"
#include "tests/fuzz/patched_image.h"

namespace extscrub::fuzz {

class TouchInodes : public InodeSink {
 public:
  void inode(const InodeFacts& facts) override {
    if (!facts.attributes) return;
    for (const EaEntry& e : facts.attributes->entries) touch(e.name), touch(e.value);
  }
};

// Calls fn(fs, scan) behind the scan of the image's inodes, when it can be scanned at all.
template <class Fn>
void with_scan(const PatchedImage& subject, Fn&& fn) {
  auto fs = load_superblock(subject.image(), nullptr, {});
  if (!fs) return;
  const Overlay plain(subject.image(), fs->geometry.block_size);
  fs->blocks = &plain;
  load_descriptors(*fs);
  static const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 1);
  static tbb::task_arena arena(1);
  arena.execute([&] {
    TouchInodes sink;
    auto scan = scan_inodes(*fs, sink, nullptr);
    require(scan.has_value(), "a scan that nobody cancels");
    fn(*fs, *scan);
  });
}

}  // namespace extscrub::fuzz
