// VMDK: a sparse extent with an embedded descriptor, or a descriptor that is a text file. "Virtual Disk Format 5.0",
// and block/vmdk.c of qemu, which has to be given no more than what was looked at here.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <sstream>

#include "cli/disk/disk_header.h"

namespace extscrub {

namespace {

constexpr uint64_t kSectorSize = 512;
constexpr uint64_t kMostOfText = 20 * kSectorSize;  // all that qemu reads of a descriptor in a sparse extent
constexpr uint64_t kMostOfFile = 1 << 20;           // of a descriptor of its own; a part has a line

std::string text_at(const Image& file, uint64_t at, uint64_t most) {
  if (at >= file.size()) return {};
  std::string text(std::min(most, file.size() - at), '\0');
  if (!file.read(at, std::as_writable_bytes(std::span(text)))) return {};
  return text;
}

// What stands between the first two quotes from `at` on, without a line's end in it.
std::string quoted(std::string_view text, size_t at) {
  const size_t line_end = std::min(text.find_first_of("\r\n", at), text.size());
  const size_t open = text.find('"', at);
  if (open >= line_end) return {};
  return std::string(text.substr(open + 1, std::min(text.find('"', open + 1), line_end) - open - 1));
}

// qemu takes the word for a parent's wherever it stands.
void find_parent(DiskHeader& header, std::string_view text) {
  constexpr std::string_view kHint = "parentFileNameHint", kId = "parentCID=", kNone = "ffffffff";
  const size_t hint = text.find(kHint), id = text.find(kId);
  std::string number(id == text.npos ? "" : text.substr(id + kId.size(), kNone.size()));
  std::ranges::transform(number, number.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (hint == text.npos && (id == text.npos || number == kNone)) return;
  header.references.push_back({"parent", hint == text.npos ? "" : quoted(text, hint), "vmdk"});
}

// RW 81920 SPARSE "disk-s001.vmdk" [offset]; a ZERO extent has no file.
std::vector<std::string> extents_of(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string access, sectors, type;
    words >> access >> sectors >> type;
    if ((access != "RW" && access != "RDONLY" && access != "NOACCESS") || type == "ZERO") continue;
    names.push_back(quoted(line, 0));
  }
  return names;
}

Result<DiskHeader> read_text(const Image& file) {
  if (file.size() > kMostOfFile)
    return std::unexpected(Error{"is called a vmdk virtual disk, but its descriptor is longer than 1 MiB"});
  DiskHeader header;
  header.is_text = true;
  std::string text = text_at(file, 0, kMostOfFile);
  text.resize(std::strlen(text.c_str()));
  find_parent(header, text);
  for (std::string& name : extents_of(text)) header.references.push_back({"extent", std::move(name)});
  return header;
}

uint64_t little64_at(std::string_view bytes, size_t at) {
  uint64_t value = 0;
  for (size_t i = 8; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// SparseExtentHeader: capacity 12, descriptorOffset 28, descriptorSize 36, all in sectors. Where the embedded descriptor
// has one extent that is the file itself, under whatever name it had; qemu does not look at it. Without a capacity
// qemu takes the file for a descriptor with extents.
Result<DiskHeader> read_sparse(const Image& file) {
  const std::string head = text_at(file, 0, kSectorSize);
  if (head.size() < kSectorSize) return std::unexpected(Error{"is called a vmdk virtual disk, but is cut off"});
  const uint64_t capacity = little64_at(head, 12), at = little64_at(head, 28), size = little64_at(head, 36);
  DiskHeader header;
  if (at > file.size() / kSectorSize)
    return std::unexpected(Error{"is called a vmdk virtual disk, but its descriptor is behind its end"});
  const std::string text =
      at == 0 ? "" : text_at(file, at * kSectorSize, std::min(size, kMostOfText / kSectorSize) * kSectorSize);
  const std::string beside = text_at(file, kSectorSize, kMostOfText);  // qemu looks for the parent here
  find_parent(header, text);
  if (header.references.empty()) find_parent(header, beside);
  const auto extents = extents_of(text);
  if (capacity == 0 || extents.size() > 1) {
    for (const std::string& name : extents) header.references.push_back({"extent", name});
    if (extents.empty()) header.references.push_back({"extent", ""});
    header.no_reader = "its descriptor names other files, and is not a file of its own";
  }
  return header;
}

}  // namespace

Result<DiskHeader> read_vmdk_header(const Image& file) {
  return text_at(file, 0, 4) == "KDMV" ? read_sparse(file) : read_text(file);
}

}  // namespace extscrub
