// How far one write has come, and what its next completion means: done, go on behind it, try again, or failed.
// A plain value; the same for a pwrite(2) in hand and for a completion of a queue.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace extscrub {

class WriteProgress {
 public:
  static constexpr unsigned kMaxRetries = 16;  // in a row, without progress

  // Takes a completion: bytes, or -errno, of the `length - done()` bytes that were submitted. Returns the errno the
  // write has failed with, or 0; then it is over when done() == length, else the rest is to be submitted (again).
  // ECANCELED is a failure as any other: a write that was given up behind a broken link is not on the device.
  [[nodiscard]] int take(int64_t result, size_t length, uint32_t alignment) {
    if (result < 0) {
      const int code = static_cast<int>(-result);
      if ((code == EAGAIN || code == EINTR) && retries_ < kMaxRetries) {
        ++retries_;
        return 0;
      }
      return code;
    }
    auto n = static_cast<uint64_t>(result);
    if (n > length - done_) return EIO;
    // The rest of a direct write has to begin on a sector again.
    if (done_ + n != length) n -= n % alignment;
    if (n == 0) return EIO;
    done_ += n;
    retries_ = 0;
    return 0;
  }

  // Gives a busy device a moment before a try again; returns at once after progress.
  void pause() const {
    if (retries_ > 0) std::this_thread::sleep_for(std::chrono::microseconds(100 * retries_));
  }

  [[nodiscard]] size_t done() const { return done_; }

 private:
  size_t done_ = 0;
  unsigned retries_ = 0;
};

}  // namespace extscrub
