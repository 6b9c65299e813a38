// What the tests of undo logs share: commits that save what they write over, undos with faults, power cuts.
#pragma once

#include "tests/writeback/writeback_support.h"
#include "writeback/undo/undo.h"

namespace extscrub::test::wb {

// For tests that flush thousands of times: in memory, where that is to be had.
inline std::filesystem::path fast_directory() {
  return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
}

inline std::filesystem::path undo_path(const TestImage& image) { return image.path().string() + ".undo"; }

inline CommitRequest request_with_undo(const TestImage& image, QueueKind queue = QueueKind::automatic) {
  CommitRequest request = image.request(queue);
  request.undo = UndoPlace{undo_path(image)};
  return request;
}

// A commit that comes to its end; the image is the repaired one, the log beside it.
inline void commit_with_undo(const TestImage& image) {
  Log log;
  const auto report = commit_with_faults(request_with_undo(image), log);
  INFO(text_of(report));
  REQUIRE(report.outcome == CommitOutcome::committed);
  REQUIRE(report.undo == UndoLogState::kept);
  REQUIRE(report.undo_file == undo_path(image));
  REQUIRE(image.now() == image.repaired());
}

// An undo with `rule` breaking what it writes, reads and flushes on the image.
inline CommitReport undo_with_faults(const TestImage& image, Log& log, bool force = false, uint32_t alignment = 0) {
  UndoRequest request;
  request.log = undo_path(image);
  request.image = image.path();
  request.force = force;
  const auto device = open_write_device(image.path());
  REQUIRE(device);
  const auto queue = make_queue(request.queue, **device);
  REQUIRE(queue);
  FaultyDevice faulty_device(**device, log, alignment);
  FaultyQueue faulty_queue(**queue, **device, log);
  const auto undo_log = UndoLog::open(request.log);
  REQUIRE(undo_log);
  return undo_on(request, *undo_log, faulty_device, faulty_queue);
}

// As the program does it.
inline CommitReport undo_image(const TestImage& image, bool force = false) {
  UndoRequest request;
  request.log = undo_path(image);
  request.image = image.path();
  request.force = force;
  const auto lock = ImageLock::acquire(image.path());
  REQUIRE(lock);
  return undo(request, *lock);
}

inline bool is_over(const CommitReport& report) {
  return report.outcome == CommitOutcome::committed || report.outcome == CommitOutcome::nothing_to_do;
}

// A superblock that is, or is not, one to go by.
enum class Before { valid, not_valid, erased, bad_checksum, not_valid_bad_checksum };

inline void put_superblock(TestImage& image, Before before) {
  Superblock bytes = image.superblock_before();
  if (before == Before::erased) bytes.fill(std::byte{0});
  if (before == Before::not_valid || before == Before::not_valid_bad_checksum) arm_superblock(bytes);
  if (before == Before::bad_checksum || before == Before::not_valid_bad_checksum) bytes[kSuperblockSize - 1] ^= std::byte{1};
  image.put_superblock(bytes);
}

// Neither the old nor the new bytes in whole, but calls itself clean.
inline bool lies(const TestImage& image, const std::vector<std::byte>& now) {
  if (now == image.original() || now == image.repaired()) return false;
  const auto sb = load<Superblock>(now, image.options().offset + kSuperblockOffset);
  return says_clean(sb) && is_sound_superblock(sb);
}

// What a power cut after operation `end` of those in `events` leaves of `disk`: any sector written since the last flush
// may be lost, none with `keep_all`.
inline std::vector<std::byte> after_power_cut(std::vector<std::byte> disk, const std::vector<Event>& events, size_t end,
                                              bool keep_all, std::mt19937& random) {
  size_t flushed = 0;
  for (size_t i = 0; i < end; ++i)
    if (events[i].operation == Operation::flush) flushed = i;
  for (size_t i = 0; i < end; ++i) {
    if (events[i].operation != Operation::write) continue;
    for (size_t at = 0; at < events[i].length; at += 512) {
      if (i > flushed && !keep_all && random() % 2 == 0) continue;
      std::memcpy(disk.data() + events[i].at + at, events[i].data.data() + at, std::min<size_t>(512, events[i].length - at));
    }
  }
  return disk;
}

}  // namespace extscrub::test::wb
