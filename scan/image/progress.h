// How a long run tells how far it is, and how it is told to stop. Implemented in cli/.
// phase() is called from one thread; advance() and cancelled() from many at once.
#pragma once

#include <cstdint>
#include <string_view>

namespace extscrub {

class Progress {
 public:
  virtual ~Progress() = default;

  // A new phase begins, of `total` bytes to be worked through.
  virtual void phase(std::string_view /*name*/, uint64_t /*total*/) {}
  virtual void advance(uint64_t /*bytes*/) {}

  // True once the run is to stop (SIGINT, SIGTERM). Asked between units of work.
  [[nodiscard]] virtual bool cancelled() const { return false; }
};

}  // namespace extscrub
