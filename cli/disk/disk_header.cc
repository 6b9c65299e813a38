#include "cli/disk/disk_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstring>
#include <span>

namespace extscrub {

namespace {

using namespace std::string_view_literals;

// qcow2: docs/interop/qcow2.txt of qemu. vmdk: one file, or the text that names its parts. vpc: the copy of the footer
// that all but fixed disks begin with. vdi: u32Signature.
struct DiskMagic {
  std::string_view format;
  uint64_t at;  // bytes
  std::string_view bytes;
};
constexpr DiskMagic kMagics[] = {{"qcow2", 0, "QFI\xfb"sv}, {"vmdk", 0, "KDMV"sv},    {"vmdk", 0, "# Disk DescriptorFile"sv},
                                 {"vhdx", 0, "vhdxfile"sv}, {"vpc", 0, "conectix"sv}, {"vdi", 0x40, "\x7f\x10\xda\xbe"sv}};
constexpr uint64_t kFooter = 512;  // of a vpc disk, its last bytes

std::string bytes_at(const Image& file, uint64_t at, uint64_t size) {
  if (at > file.size() || size > file.size() - at) return {};
  std::string bytes(size, '\0');
  if (!file.read(at, std::as_writable_bytes(std::span(bytes)))) return {};
  return bytes;
}

template <std::unsigned_integral T>
T number_at(std::string_view bytes, size_t at, std::endian order) {
  T value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return order == std::endian::native ? value : std::byteswap(value);
}
uint32_t big32(std::string_view bytes, size_t at) { return number_at<uint32_t>(bytes, at, std::endian::big); }
uint64_t big64(std::string_view bytes, size_t at) { return number_at<uint64_t>(bytes, at, std::endian::big); }
uint16_t little16(std::string_view bytes, size_t at) { return number_at<uint16_t>(bytes, at, std::endian::little); }
uint32_t little32(std::string_view bytes, size_t at) { return number_at<uint32_t>(bytes, at, std::endian::little); }
uint64_t little64(std::string_view bytes, size_t at) { return number_at<uint64_t>(bytes, at, std::endian::little); }

std::unexpected<Error> damaged(std::string_view format, std::string_view what) {
  return std::unexpected(Error{fmt::format("is called a {} virtual disk, but its header is damaged: {}", format, what)});
}

// For a message: what is not ASCII is of no use there.
std::string from_utf16(std::string_view bytes, std::endian order) {
  std::string text;
  for (size_t at = 0; at + 2 <= bytes.size(); at += 2) {
    const auto unit = number_at<uint16_t>(bytes, at, order);
    if (unit == 0) break;
    text += unit < 0x7f ? static_cast<char>(unit) : '?';
  }
  return text;
}

// --- qcow2, versions 2 and 3

constexpr uint32_t kBackingFormat = 0xe2792aca, kDataFileName = 0x44415441;
constexpr uint64_t kExternalData = 4;   // incompatible_features
constexpr uint32_t kLongestName = 1023;  // of a backing file

struct Extensions {
  std::string backing_format, data_file;
  bool damaged = false;
};

// From behind the header to `end`, as qemu reads them.
Extensions read_extensions(std::string_view bytes) {
  Extensions found;
  for (size_t at = 0; at + 8 <= bytes.size();) {
    const uint32_t type = big32(bytes, at), length = big32(bytes, at + 4);
    at += 8;
    if (type == 0) break;
    if (length > bytes.size() - at) {
      found.damaged = true;
      break;
    }
    if (type == kBackingFormat) found.backing_format = bytes.substr(at, length);
    if (type == kDataFileName) found.data_file = bytes.substr(at, length);
    at += std::min<size_t>((size_t{length} + 7) & ~size_t{7}, bytes.size() - at);
  }
  return found;
}

Result<DiskHeader> read_qcow2(const Image& file) {
  constexpr auto kName = "qcow2"sv;
  std::string head = bytes_at(file, 0, 72);
  if (head.empty()) return damaged(kName, "it is cut off");
  const uint32_t version = big32(head, 4), cluster_bits = big32(head, 20), encryption = big32(head, 32);
  if (version < 2 || version > 3)
    return std::unexpected(
        Error{fmt::format("is of version {} of the qcow format, which is not read; convert it with qemu-img", version)});
  if (cluster_bits < 9 || cluster_bits > 21) return damaged(kName, fmt::format("cluster_bits is {}", cluster_bits));
  const uint64_t cluster = uint64_t{1} << cluster_bits, name_at = big64(head, 8);
  const uint32_t name_size = big32(head, 16);
  uint64_t header_length = 72, features = 0;
  if (version == 3) {
    head = bytes_at(file, 0, 104);
    if (head.empty()) return damaged(kName, "it is cut off");
    features = big64(head, 72);
    header_length = big32(head, 100);
  }
  if (header_length < head.size() || header_length > cluster)
    return damaged(kName, fmt::format("header_length is {}", header_length));
  if (name_at > cluster || (name_at != 0 && name_size > std::min<uint64_t>(kLongestName, cluster - name_at)))
    return damaged(kName, "the name of the backing file is not in the first cluster");
  if (encryption != 0) return std::unexpected(Error{"is an encrypted qcow2 virtual disk, and there is no key for it"});

  const uint64_t end = std::min(name_at != 0 ? name_at : cluster, file.size());
  const Extensions extensions = read_extensions(bytes_at(file, header_length, end < header_length ? 0 : end - header_length));
  if (extensions.damaged) return damaged(kName, "an extension goes beyond it");
  DiskHeader header;
  if (name_at != 0 && name_size != 0) {
    const std::string name = bytes_at(file, name_at, name_size);
    if (name.empty()) return damaged(kName, "the name of the backing file is cut off");
    header.references.push_back({"backing file", name, extensions.backing_format});
  }
  if ((features & kExternalData) != 0 || !extensions.data_file.empty())
    header.references.push_back({"data file", extensions.data_file});
  return header;
}

// --- VHDX: the region table leads to the metadata, and that to the parameters and the names of a parent

constexpr uint64_t kRegionTable = 192 << 10, kRegionTableCopy = 256 << 10, kTable = 64 << 10;
constexpr size_t kMostEntries = 2047;
// GUIDs as they stand in the file.
constexpr auto kMetadataRegion = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"sv;
constexpr auto kParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"sv;
constexpr auto kParentLocator = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"sv;
constexpr uint32_t kHasParent = 2;

// Where the entry with this GUID stands in a table of entries of 32 bytes; npos: nowhere.
size_t find_entry(std::string_view table, size_t first, size_t count, std::string_view guid) {
  for (size_t i = 0; i < std::min(count, kMostEntries); ++i) {
    const size_t at = first + 32 * i;
    if (at + 32 > table.size()) break;
    if (table.substr(at, 16) == guid) return at;
  }
  return std::string_view::npos;
}

std::string parent_name(std::string_view locator) {
  if (locator.size() < 20) return {};
  const size_t count = little16(locator, 18);
  std::string name;
  for (size_t i = 0; i < count && 20 + 12 * (i + 1) <= locator.size(); ++i) {
    const size_t at = 20 + 12 * i;
    const size_t key_at = little32(locator, at), value_at = little32(locator, at + 4);
    const size_t key_size = little16(locator, at + 8), value_size = little16(locator, at + 10);
    if (key_at + key_size > locator.size() || value_at + value_size > locator.size()) continue;
    const std::string key = from_utf16(locator.substr(key_at, key_size), std::endian::little);
    if (key.ends_with("_path") && (name.empty() || key == "relative_path"))
      name = from_utf16(locator.substr(value_at, value_size), std::endian::little);
  }
  return name;
}

Result<DiskHeader> read_vhdx(const Image& file) {
  for (const uint64_t at : {kRegionTable, kRegionTableCopy}) {
    const std::string regions = bytes_at(file, at, kTable);
    if (!regions.starts_with("regi")) continue;
    const size_t region = find_entry(regions, 16, little32(regions, 8), kMetadataRegion);
    if (region == std::string_view::npos) continue;
    const uint64_t metadata_at = little64(regions, region + 16);
    const std::string metadata = bytes_at(file, metadata_at, kTable);
    if (!metadata.starts_with("metadata")) continue;
    const size_t count = little16(metadata, 10);
    const size_t parameters = find_entry(metadata, 32, count, kParameters);
    if (parameters == std::string_view::npos) continue;
    const std::string values = bytes_at(file, metadata_at + little32(metadata, parameters + 16), 8);
    if (values.empty()) continue;
    DiskHeader header;
    const size_t locator = find_entry(metadata, 32, count, kParentLocator);
    if (locator == std::string_view::npos && (little32(values, 4) & kHasParent) == 0) return header;
    header.no_reader = "qemu reads no VHDX disk with a parent";
    std::string name;
    if (locator != std::string_view::npos)
      name = parent_name(bytes_at(file, metadata_at + little32(metadata, locator + 16),
                                  std::min<uint64_t>(little32(metadata, locator + 20), kTable)));
    header.references.push_back({"parent", std::move(name)});
    return header;
  }
  return damaged("vhdx", "there is no region table that leads to its parameters");
}

// --- VHD and VDI

Result<DiskHeader> read_vpc(const Image& file) {
  constexpr uint32_t kFixed = 2, kDynamic = 3, kDifferencing = 4;
  const std::string at_end = file.size() >= kFooter ? bytes_at(file, file.size() - kFooter, kFooter) : "";
  const std::string at_begin = bytes_at(file, 0, kFooter);
  DiskHeader header;
  // qemu goes by the first that is there, Windows by the last.
  for (const std::string& footer : {at_begin, at_end}) {
    if (!footer.starts_with("conectix")) continue;
    const uint32_t type = big32(footer, 60);
    if (type == kFixed || type == kDynamic) continue;
    if (type != kDifferencing) return damaged("vpc", fmt::format("its disk type is {}", type));
    const std::string dynamic = bytes_at(file, big64(footer, 16), 1024);
    header.no_reader = "qemu reads no VHD disk with a parent";
    header.references.push_back({"parent", dynamic.starts_with("cxsparse")
                                               ? from_utf16(std::string_view(dynamic).substr(64, 512), std::endian::big)
                                               : ""});
    break;
  }
  return header;
}

Result<DiskHeader> read_vdi(const Image& file) {
  constexpr uint32_t kDynamic = 1, kStatic = 2;
  const std::string head = bytes_at(file, 0, 512);
  if (head.empty()) return damaged("vdi", "it is cut off");
  DiskHeader header;
  const uint32_t type = little32(head, 0x4c);
  if (type == kDynamic || type == kStatic) return header;
  header.no_reader = fmt::format("qemu reads no VDI disk of type {}, which has a parent", type);
  header.references.push_back({"parent", ""});  // known by its UUID only
  return header;
}

}  // namespace

std::optional<std::string> disk_format_of(const Image& file) {
  for (const DiskMagic& magic : kMagics)
    if (bytes_at(file, magic.at, magic.bytes.size()) == magic.bytes) return std::string(magic.format);
  if (has_vpc_footer(file)) return "vpc";
  return std::nullopt;
}

bool has_vpc_footer(const Image& file) {
  return !file.is_block_device() && file.size() >= 2 * kFooter && bytes_at(file, file.size() - kFooter, 8) == "conectix";
}

Result<DiskHeader> read_disk_header(const Image& file, std::string_view format) {
  const auto found = disk_format_of(file);
  if (found != format && !(format == "vpc" && has_vpc_footer(file)))
    return std::unexpected(
        Error{fmt::format("holds no {} virtual disk{}", format, found ? fmt::format(", but one in the format {}", *found) : "")});
  if (format == "qcow2") return read_qcow2(file);
  if (format == "vmdk") return read_vmdk_header(file);
  if (format == "vhdx") return read_vhdx(file);
  return format == "vpc" ? read_vpc(file) : read_vdi(file);
}

}  // namespace extscrub
