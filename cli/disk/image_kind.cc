#include "cli/disk/image_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "cli/disk/disk_header.h"
#include "cli/disk/identify.h"
#include "cli/disk/unpack.h"
#include "scan/image/image.h"

namespace extscrub {

namespace {

constexpr std::pair<std::string_view, std::string_view> kSuffixes[] = {{".qcow2", "qcow2"}, {".vmdk", "vmdk"}, {".vhdx", "vhdx"},
                                                                       {".vhd", "vpc"},     {".vpc", "vpc"},   {".vdi", "vdi"}};

std::string_view format_of_name(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto suffix = std::ranges::find_if(kSuffixes, [&](const auto& s) { return name.ends_with(s.first); });
  return suffix == std::end(kSuffixes) ? std::string_view() : suffix->second;
}

std::string_view suffix_of(std::string_view format) {
  return std::ranges::find(kSuffixes, format, &std::pair<std::string_view, std::string_view>::second)->first;
}

Result<ImageKind> virtual_or_plain(const std::string& name, const std::string& wanted) {
  const std::string_view said = wanted.empty() ? format_of_name(name) : wanted;
  const auto file = Image::open(name);
  if (!file) return ImageKind{};
  const auto found = disk_format_of(*file);
  if (!said.empty()) {
    if (found == said) return ImageKind{ImageForm::virtual_disk, *found};
    // A fixed one may begin with anything.
    if (said == "vpc" && has_vpc_footer(*file)) return ImageKind{ImageForm::virtual_disk, "vpc"};
    if (!wanted.empty())
      return std::unexpected(Error{fmt::format("is no {} virtual disk, as --virtual-disk says{}", said,
                                               found ? fmt::format(", but holds one in the format {}", *found) : "")});
  }
  if (found && !has_ext_magic(*file))
    return std::unexpected(
        Error{fmt::format("holds a virtual disk in the format {0}, and its name does not say so: nothing was opened. If "
                          "you trust who wrote its first bytes, give it with --virtual-disk={0}, or a name that ends in "
                          "{1}; --virtual-disk=raw takes it as it is",
                          *found, suffix_of(*found))});
  if (said.empty()) return ImageKind{};
  return ImageKind{.warning = fmt::format("its name says that it is a virtual disk in the format {}, but it is none: it "
                                          "is looked at as it is",
                                          said)};
}

}  // namespace

bool is_nbd_uri(std::string_view name) {
  constexpr std::string_view kSchemes[] = {"nbd://", "nbd+unix://", "nbds://", "nbds+unix://"};
  return std::ranges::any_of(kSchemes, [&](auto scheme) { return name.starts_with(scheme); });
}

Result<ImageKind> kind_of(const std::string& name, const std::string& virtual_disk) {
  if (is_nbd_uri(name)) return ImageKind{ImageForm::nbd};
  if (virtual_disk == "raw") return ImageKind{};
  if (virtual_disk.empty())
    if (auto compression = compression_of(name)) return ImageKind{ImageForm::compressed, std::move(*compression)};
  return virtual_or_plain(name, virtual_disk);
}

}  // namespace extscrub
