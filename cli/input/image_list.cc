#include "cli/input/image_list.h"

#include <unistd.h>

#include <iterator>
#include <ranges>

#include "cli/files/text_file.h"

namespace extscrub {

namespace {

Result<std::string> read_standard_input(std::istream* in, const TextFileRules& rules) {
  if (in == nullptr) return read_descriptor(STDIN_FILENO, "the list of images in standard input", rules);
  return std::string{std::istreambuf_iterator<char>(*in), {}};
}

}  // namespace

Result<std::vector<std::string>> list_images(const Options& options, std::istream* in, const std::atomic<bool>* stop) {
  if (options.access == Access::put_back) return options.images;
  const char separator = options.null_separated ? '\0' : '\n';
  const TextFileRules rules{.stop = stop};
  std::vector<std::string> images;
  const auto add_list = [&](const Result<std::string>& list) -> Result<void> {
    if (!list) return std::unexpected(list.error());
    for (const auto name : *list | std::views::split(separator))
      if (!name.empty()) images.emplace_back(name.begin(), name.end());
    return {};
  };
  for (const std::string& image : options.images) {
    if (image != "-")
      images.push_back(image);
    else if (const auto read = add_list(read_standard_input(in, rules)); !read)
      return std::unexpected(read.error());
  }
  if (options.files_from == "-") {
    if (const auto read = add_list(read_standard_input(in, rules)); !read) return std::unexpected(read.error());
  } else if (!options.files_from.empty()) {
    const std::string& file = options.files_from;
    if (const auto read = add_list(read_text_file(file, "the list of images " + file, rules)); !read)
      return std::unexpected(read.error());
  }
  if (images.empty()) return std::unexpected(Error{"the list names no image", ErrorKind::nothing_asked});
  return images;
}

}  // namespace extscrub
