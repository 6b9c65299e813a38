#include "cli/image_kind.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "cli/identify.h"
#include "cli/unpack.h"
#include "scan/image.h"

namespace extscrub {

namespace {

using namespace std::string_view_literals;

struct DiskFormat {
  std::string_view name;
  uint64_t at;  // of the magic number, bytes
  std::string_view magic;
  std::vector<std::string_view> suffixes;
};

// qcow2: docs/interop/qcow2.txt of qemu. vmdk: one file, or the text that names its parts. vpc: the copy of the footer
// that all but fixed disks begin with. vdi: u32Signature.
const DiskFormat kDiskFormats[] = {{"qcow2", 0, "QFI\xfb"sv, {".qcow2"}},
                               {"vmdk", 0, "KDMV"sv, {".vmdk"}},
                               {"vmdk", 0, "# Disk DescriptorFile"sv, {".vmdk"}},
                               {"vhdx", 0, "vhdxfile"sv, {".vhdx"}},
                               {"vpc", 0, "conectix"sv, {".vhd", ".vpc"}},
                               {"vdi", 0x40, "\x7f\x10\xda\xbe"sv, {".vdi"}}};
constexpr uint64_t kFooter = 512;  // of a fixed vpc disk, its last bytes

bool has_magic(const Image& file, uint64_t at, std::string_view magic) {
  std::array<char, 32> bytes{};
  const auto found = std::span(bytes).first(magic.size());
  return file.size() >= at + magic.size() && file.read(at, std::as_writable_bytes(found)) &&
         std::ranges::equal(found, magic);
}

bool has_footer(const Image& file) {
  return !file.is_block_device() && file.size() >= 2 * kFooter && has_magic(file, file.size() - kFooter, "conectix");
}

std::optional<std::string> disk_format_of(const std::string& path) {
  const auto file = Image::open(path);
  if (!file) return std::nullopt;
  const bool is_ext = has_ext_magic(*file);
  for (const DiskFormat& format : kDiskFormats) {
    const bool named = std::ranges::any_of(format.suffixes, [&](auto suffix) { return path.ends_with(suffix); });
    if (is_ext && !named) continue;
    if (has_magic(*file, format.at, format.magic) || (format.name == "vpc" && has_footer(*file)))
      return std::string(format.name);
  }
  return std::nullopt;
}

}  // namespace

bool is_nbd_uri(std::string_view name) {
  constexpr std::string_view kSchemes[] = {"nbd://", "nbd+unix://", "nbds://", "nbds+unix://"};
  return std::ranges::any_of(kSchemes, [&](auto scheme) { return name.starts_with(scheme); });
}

ImageKind kind_of(const std::string& name) {
  if (is_nbd_uri(name)) return {ImageForm::nbd};
  if (auto compression = compression_of(name)) return {ImageForm::compressed, std::move(*compression)};
  if (auto format = disk_format_of(name)) return {ImageForm::virtual_disk, std::move(*format)};
  return {};
}

}  // namespace extscrub
