// Who is told what a commit waits for, which may take for ever: in its thread, or in the error worker's while that
// waits for it.
#pragma once

#include <string_view>

namespace extscrub {

class WaitObserver {
 public:
  virtual ~WaitObserver() = default;
  // Begins anew where something is waited for already.
  virtual void begin_wait(std::string_view what) = 0;
  virtual void end_wait() = 0;
};

// What is waited for.
inline constexpr std::string_view kWaitForWrite = "a write", kWaitForRead = "a read", kWaitForFlush = "a flush";

// Something is waited for as long as it lives.
class Waiting {
 public:
  Waiting(WaitObserver* observer, std::string_view what) : observer_(observer) {
    if (observer_ != nullptr) observer_->begin_wait(what);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (observer_ != nullptr) observer_->end_wait();
  }

 private:
  WaitObserver* observer_;
};

}  // namespace extscrub
