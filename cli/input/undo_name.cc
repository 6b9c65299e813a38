#include "cli/input/undo_name.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include "cli/disk/image_kind.h"

namespace extscrub {

std::string undo_name(const std::string& image) {
  if (!is_nbd_uri(image)) return image;
  std::string name = image;
  const auto is_plain = [](unsigned char c) { return c < 0x80 && (std::isalnum(c) || c == '.' || c == '-'); };
  std::ranges::replace_if(name, std::not_fn(is_plain), '_');
  constexpr size_t kLongest = 200;  // bytes; the rest of the name comes behind it
  return name.substr(0, kLongest);
}

}  // namespace extscrub
