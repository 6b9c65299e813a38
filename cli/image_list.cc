#include "cli/image_list.h"

#include <cerrno>
#include <fstream>

namespace extscrub {

namespace {

Result<void> read_list(std::istream& list, const std::string& name, char separator, std::vector<std::string>& images) {
  for (std::string line; std::getline(list, line, separator);)
    if (!line.empty()) images.push_back(line);
  if (list.bad()) return std::unexpected(Error{"cannot read the list of images in " + name, EIO});
  return {};
}

}  // namespace

Result<std::vector<std::string>> list_images(const Options& options, std::istream& in) {
  if (options.command == Command::undo) return options.images;
  const char separator = options.null_separated ? '\0' : '\n';
  std::vector<std::string> images;
  const auto add_standard_input = [&] { return read_list(in, "standard input", separator, images); };
  for (const std::string& image : options.images) {
    if (image != "-")
      images.push_back(image);
    else if (const auto read = add_standard_input(); !read)
      return std::unexpected(read.error());
  }
  if (options.files_from == "-") {
    if (const auto read = add_standard_input(); !read) return std::unexpected(read.error());
  } else if (!options.files_from.empty()) {
    errno = 0;
    std::ifstream list(options.files_from, std::ios::binary);
    if (!list) return std::unexpected(system_error("cannot open the list of images " + options.files_from, errno));
    if (const auto read = read_list(list, options.files_from, separator, images); !read) return std::unexpected(read.error());
  }
  if (images.empty()) return std::unexpected(Error{"the list names no image"});
  return images;
}

}  // namespace extscrub
