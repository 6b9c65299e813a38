#include "cli/input/input.h"

#include <fmt/format.h>

#include <utility>

#include "cli/disk/image_kind.h"

namespace extscrub {

namespace {

Result<Input> open_compressed(const std::string& name, const std::string& format, const Options& options,
                              const Environment& environment) {
  if (options.access == Access::put_back) return Input{name};  // it is none of ours, as its bytes will tell
  if (options.access == Access::repair)
    return std::unexpected(Error{fmt::format("is compressed ({}), and a scrub writes in place: unpack it first", format)});
  const UnpackLimits limits{options.max_unpacked, options.offset.value_or(0) != 0 || options.superblock};
  auto copy = unpack(name, limits, environment.stop);
  if (!copy) return std::unexpected(copy.error());
  std::string path = copy->path();
  return Input{std::move(path), std::move(*copy)};
}

Result<Input> open_disk(const std::string& name, const ImageKind& kind, Opening opening, const Options& options,
                        const Environment& environment) {
  auto disk = VirtualDisk::open(name, kind, opening == Opening::writing, options.follow_backing, environment.stop);
  if (!disk) return std::unexpected(disk.error());
  std::string path = disk->path(), warning;
  if (!disk->is_direct())
    warning = "the file system it is on has no direct I/O: what is read back may come from memory, not from the disk";
  std::vector<std::string> notes = disk->unprotected();
  return Input{std::move(path),    std::nullopt,     std::move(*disk),
               std::move(warning), std::move(notes), opening == Opening::reading};
}

}  // namespace

Result<void> Input::close() {
  if (disk) return disk->close();
  return {};
}

Result<Input> open_input(const std::string& name, Opening opening, const Options& options, const Environment& environment) {
  const auto kind = kind_of(name, options.virtual_disk);
  if (!kind) return std::unexpected(kind.error());
  switch (kind->form) {
    case ImageForm::plain: break;
    case ImageForm::compressed: return open_compressed(name, kind->format, options, environment);
    case ImageForm::virtual_disk:
    case ImageForm::nbd: return open_disk(name, *kind, opening, options, environment);
  }
  return Input{.path = name, .warning = kind->warning};
}

}  // namespace extscrub
