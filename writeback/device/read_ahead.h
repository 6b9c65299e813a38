// Reads a list of ranges of a device, in order for the caller, many at a time for the device: ranges that lie close
// together are one read, what lies between them included, and threads read ahead of their turn. A scrub reads all it
// writes several times (is the image still what was audited, what the undo log keeps, is it on the device), and one direct
// read after the other costs a device's whole latency each.
// Belongs to one thread; the device must outlive it. Nothing is read any more once it is gone.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "writeback/device/aligned_buffer.h"
#include "writeback/device/write_device.h"
#include "writeback/device/write_plan.h"

namespace extscrub {

class ReadAhead {
 public:
  // `longest`: of all ranges that will be read, in bytes; a read of several is no longer either. `most`: how many ranges
  // the longest list has. Allocates its buffers and starts its threads here, and none later: a thread for every four
  // ranges, 16 at most; with fewer threads than wanted, or none, it is slower. Throws std::bad_alloc.
  ReadAhead(WriteDevice& device, size_t longest, size_t most);
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  ~ReadAhead();

  // Begins with a list, by place; what was left of the last one is dropped.
  void begin(std::vector<Extent> extents);

  struct Part {
    Extent extent;
    int error = 0;       // errno: the range could not be read
    MutableBytes bytes;  // of the extent, until the next call
  };
  // The next range of the list; must not be asked for more often than there are any.
  [[nodiscard]] Part next();

 private:
  // Ranges that are read together.
  struct Group {
    Extent extent;
    size_t end = 0;  // the index of the first range that is not in it
  };
  struct Slot {
    AlignedBuffer buffer;
    int error = 0;
    bool done = false;
    bool comes_back = false;  // the error, when the same is read again
  };

  void work();
  void group_extents();
  [[nodiscard]] bool is_few() const { return groups_.size() < 4; }  // read as fast by the caller itself
  [[nodiscard]] bool is_first(size_t range) const { return range == (given_ == 0 ? 0 : groups_[given_ - 1].end); }
  [[nodiscard]] Slot& slot_of(size_t index) { return slots_[index % slots_.size()]; }
  [[nodiscard]] int read(Extent extent, Slot& slot);

  WriteDevice& device_;
  std::vector<Slot> slots_;
  std::mutex mutex_;  // guards all below and the slots' `done`, never held during I/O
  std::condition_variable room_, ready_;
  std::vector<Extent> extents_;
  std::vector<Group> groups_;
  size_t next_ = 0;       // the range that next() gives
  size_t begun_ = 0;      // groups that a thread has taken
  size_t given_ = 0;      // the group that next() is at
  unsigned reading_ = 0;  // threads
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace extscrub
