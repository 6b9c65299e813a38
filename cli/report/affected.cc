#include "cli/report/affected.h"

#include <ext2fs/ext2_fs.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/text/escape.h"

namespace extscrub {

namespace {

// "touched" or "lost", by path.
using Files = std::map<std::pair<std::string, std::string_view>, std::vector<std::optional<ByteRange>>>;

std::string name_of_file(InodeNo inode, const std::string& path) {
  if (!path.empty()) return escape(path);
  return inode.value == EXT2_ROOT_INO ? "/" : fmt::format("<inode {}>", inode);
}

std::optional<ByteRange> range_of(const Finding& f, const ImageReport& image) {
  if (!f.logical || !image.info) return std::nullopt;
  const uint64_t size = image.info->block_size;
  return ByteRange{*f.logical * size, (*f.logical + std::max<uint64_t>(f.block_count, 1)) * size};
}

// The file that an entry is of, which may be gone.
std::optional<std::string> path_of_entry(const Finding& f) {
  const std::string name = f.entry ? f.entry->name : "";
  if (f.path.empty() || name.empty() || name == "." || name == "..") return std::nullopt;
  return escape(f.path == "/" ? "/" + name : f.path + "/" + name);
}

bool comes_first(const std::optional<ByteRange>& a, const std::optional<ByteRange>& b) {
  if (!a || !b) return !a && b;
  return std::pair(a->first, a->end) < std::pair(b->first, b->end);
}

// What is not known comes first.
std::vector<std::optional<ByteRange>> merged(std::vector<std::optional<ByteRange>> ranges) {
  std::ranges::sort(ranges, comes_first);
  std::vector<std::optional<ByteRange>> all;
  for (const auto& range : ranges) {
    if (!all.empty() && !all.back() && !range) continue;
    if (!all.empty() && all.back() && range->first <= all.back()->end)
      all.back()->end = std::max(all.back()->end, range->end);
    else
      all.push_back(range);
  }
  return all;
}

}  // namespace

std::string affected_lines(const ImageReport& image) {
  Files files;
  for (const Finding& f : image.findings) {
    if (!f.inode || info(f.problem).severity == Severity::note) continue;
    files[{name_of_file(*f.inode, f.path), "touched"}].push_back(range_of(f, image));
    if (auto path = path_of_entry(f)) files[{std::move(*path), "touched"}].push_back(std::nullopt);
  }
  if (image.repairs)
    for (const Loss& loss : image.repairs->losses)
      if (loss.inode)
        files[{name_of_file(loss.inode, loss.path), loss.what.starts_with("moved ") ? "touched" : "lost"}].push_back(loss.bytes);
  std::string text;
  for (const auto& [file, ranges] : files)
    for (const auto& range : merged(ranges))
      text += fmt::format("{}\t{}\t{}\t{}\n", file.first, range ? fmt::format("{}\t{}", range->first, range->end) : "-\t-",
                          file.second, escape(name_of(image)));
  return text;
}

}  // namespace extscrub
