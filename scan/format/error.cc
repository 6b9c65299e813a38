#include "scan/format/error.h"

#include <system_error>

namespace extscrub {

Error system_error(std::string what, int code) {
  return {std::move(what) + ": " + std::generic_category().message(code), code};
}

}  // namespace extscrub
