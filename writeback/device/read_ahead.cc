#include "writeback/device/read_ahead.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace extscrub {

namespace {

constexpr size_t kThreads = 16;
constexpr size_t kRangesPerThread = 4;
constexpr size_t kSlots = 16;
constexpr uint64_t kGap = 32 << 10;  // bytes that are read over rather than begin another read

}  // namespace

ReadAhead::ReadAhead(WriteDevice& device, size_t longest, size_t most)
    : device_(device), slots_(std::clamp<size_t>(most, 1, kSlots)) {
  for (Slot& slot : slots_) slot.buffer = AlignedBuffer(longest);
  const size_t wanted = std::min(kThreads, most / kRangesPerThread);
  threads_.reserve(wanted);
  try {
    while (threads_.size() < wanted) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // Those that there are do.
  }
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ReadAhead::begin(std::vector<Extent> extents) {
  std::unique_lock lock(mutex_);
  groups_.clear();
  ready_.wait(lock, [&] { return reading_ == 0; });
  for (Slot& slot : slots_) slot.done = false;
  next_ = begun_ = given_ = 0;
  extents_ = std::move(extents);
  group_extents();
  if (!is_few()) room_.notify_all();
}

void ReadAhead::group_extents() {
  const uint64_t longest = slots_.front().buffer.size();
  for (size_t i = 0; i < extents_.size(); ++i) {
    const Extent& extent = extents_[i];
    const bool joins = !groups_.empty() && extent.at >= groups_.back().extent.at &&
                       extent.at <= groups_.back().extent.end() + kGap && extent.end() - groups_.back().extent.at <= longest;
    if (!joins) groups_.push_back({extent, i});
    Group& group = groups_.back();
    group.extent.length = std::max(group.extent.end(), extent.end()) - group.extent.at;
    group.end = i + 1;
  }
}

ReadAhead::Part ReadAhead::next() {
  std::unique_lock lock(mutex_);
  if (next_ == groups_[given_].end) {
    slot_of(given_++).done = false;
    room_.notify_one();
  }
  const Group& group = groups_[given_];
  Slot& slot = slot_of(given_);
  if (!threads_.empty() && !is_few()) {
    ready_.wait(lock, [&] { return slot.done; });
  } else if (!slot.done) {
    slot.error = read(group.extent, slot);
    slot.done = true;
  }
  const bool first = is_first(next_), alone = first && next_ + 1 == group.end;
  const Extent extent = extents_[next_++];
  if (slot.error != 0) {
    // What fails only once has failed. What fails again may be what lies between the ranges, which is nobody's business: then
    // each has an error of its own, and those that can be read are read.
    if (first) slot.comes_back = !alone && read(group.extent, slot) != 0;
    return {extent, slot.comes_back ? read(extent, slot) : slot.error, slot.buffer.first(extent.length)};
  }
  return {extent, 0, slot.buffer.bytes().subspan(extent.at - group.extent.at, extent.length)};
}

int ReadAhead::read(Extent extent, Slot& slot) { return read_fully(device_, extent.at, slot.buffer.first(extent.length)); }

void ReadAhead::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    room_.wait(lock, [&] { return stopping_ || (!is_few() && begun_ < groups_.size() && begun_ < given_ + slots_.size()); });
    if (stopping_) return;
    const Extent extent = groups_[begun_].extent;
    Slot& slot = slot_of(begun_++);
    ++reading_;
    lock.unlock();
    const int error = read(extent, slot);
    lock.lock();
    --reading_;
    slot.error = error;
    slot.done = true;
    ready_.notify_one();
  }
}

}  // namespace extscrub
