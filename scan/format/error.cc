#include "scan/format/error.h"

#include <system_error>

namespace extscrub {

std::string error_text(int code) { return std::generic_category().message(code); }

Error system_error(std::string what, int code) { return {std::move(what) + ": " + error_text(code), code}; }

}  // namespace extscrub
