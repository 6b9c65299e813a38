#include "cli/disk/disk_chain.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/disk/disk_header.h"

namespace extscrub {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr size_t kLongestChain = 64;   // disks, each based on the next
constexpr size_t kMostExtents = 1024;  // of one disk: 2 TiB in the usual parts of 2 GiB

bool is_raw(std::string_view format) { return format == "raw"; }

// As qemu tells a protocol from a path: a colon, and no slash before it.
bool has_protocol(std::string_view name) {
  const size_t at = name.find_first_of(":/");
  return at != name.npos && name[at] == ':';
}

std::string name_shown(const std::string& name) { return name.empty() ? "without a name" : name; }

// The image's folder, links resolved: the only place where files are that it may name.
class Folder {
 public:
  explicit Folder(const std::string& image) {
    std::error_code error;
    path_ = fs::canonical(image, error).parent_path();
    if (!error) fd_ = ::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (fd_ >= 0) ::close(fd_);
  }

  // A descriptor of the file that `from`, a file in this folder or below it, calls `name`.
  [[nodiscard]] Result<int> open(const fs::path& from, const std::string& name, bool writable, fs::path& found) const {
    const auto outside = [&](std::string_view why) {
      return std::unexpected(Error{fmt::format("names {}, which is not opened: {}", name_shown(name), why)});
    };
    if (name.empty() || name.find('\0') != name.npos) return outside("it is no file's name");
    if (has_protocol(name)) return outside("it is no file, but another way to get at data");
    std::error_code error;
    const fs::path path = fs::canonical(from.parent_path() / name, error);
    if (error) return outside(error.message());
    const fs::path below = path.lexically_relative(path_);
    if (below.empty() || *below.begin() == ".." || fd_ < 0) return outside("it is not below the image's own folder");
    // Whatever became of the path since: no link, and nothing outside.
    open_how how{};
    how.flags = static_cast<uint64_t>((writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const int fd = static_cast<int>(::syscall(SYS_openat2, fd_, below.c_str(), &how, sizeof how));
    if (fd < 0) return outside(std::strerror(errno));
    struct stat st{};
    if (::fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
      ::close(fd);
      return outside("it is no regular file");
    }
    found = path;
    return fd;
  }

 private:
  fs::path path_;
  int fd_ = -1;
};

Result<Image> look_at(int fd, const std::string& name) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return std::unexpected(file_error("cannot open", name, errno));
  return Image::adopt(copy, name);
}

Error refusal(const FileReference& reference) {
  return Error{
      fmt::format("names another file, {}, as its {}: only the image itself is opened. --follow-backing opens what "
                  "lies below the image's own folder",
                  name_shown(reference.name), reference.role)};
}

}  // namespace

// A disk of the chain. `file`: its own; the others hold its contents.
struct DiskChain::Node {
  std::string format;
  size_t file = 0;
  fs::path path;
  std::optional<size_t> data = {};                       // of qcow2
  std::vector<std::pair<std::string, size_t>> extents = {};  // of a descriptor
};

Result<DiskChain> DiskChain::open(const std::string& name, const std::string& format, bool writable, bool follow) {
  DiskChain chain;
  const Folder folder(name);
  const int fd = ::open(name.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::unexpected(system_error("cannot be opened", errno));
  chain.files_.push_back({fd, writable});
  std::error_code ignored;
  chain.nodes_.push_back({format, 0, fs::canonical(name, ignored)});
  for (size_t i = 0; i < chain.nodes_.size(); ++i) {
    if (i == kLongestChain) return std::unexpected(Error{fmt::format("is based on more than {} files in a row", kLongestChain)});
    Node node = chain.nodes_[i];
    if (is_raw(node.format)) continue;
    const bool top = i == 0;
    // Under --follow-backing another file may be at fault.
    const auto of_file = [&](std::string message) {
      return std::unexpected(Error{top ? message : fmt::format("is based on {}, which {}", node.path.native(), message)});
    };
    const auto image = look_at(chain.files_[node.file].fd, node.path.native());
    if (!image) return std::unexpected(image.error());
    const auto header = read_disk_header(*image, node.format);
    if (!header) return of_file(text_of(header.error()));
    if (!header->references.empty()) {
      if (!follow) return std::unexpected(refusal(header->references.front()));
      if (!header->no_reader.empty()) return of_file("cannot be followed: " + header->no_reader);
    }
    if (header->references.size() > kMostExtents + 1) return of_file(fmt::format("names more than {} files", kMostExtents));
    for (const FileReference& reference : header->references) {
      const bool has_contents = reference.role == "data file" || reference.role == "extent";
      if (reference.role == "extent" && reference.name.find('/') != std::string::npos)
        return of_file(fmt::format("has an extent in another folder, {}, which is not followed", reference.name));
      fs::path path;
      const auto opened = folder.open(node.path, reference.name, writable && top && has_contents, path);
      if (!opened) return of_file(text_of(opened.error()));
      const size_t at = chain.files_.size();
      chain.files_.push_back({*opened, writable && top && has_contents});
      if (reference.role == "data file") node.data = at;
      if (reference.role == "extent") node.extents.emplace_back(reference.name, at);
      if (has_contents) continue;
      if (reference.format.empty())
        return of_file(fmt::format("does not say in which format its {} {} is; qemu-img rebase -u -F FORMAT -b {} tells it",
                                   reference.role, reference.name, reference.name));
      constexpr std::string_view kKnown[] = {"raw", "qcow2", "vmdk", "vhdx", "vpc", "vdi"};
      if (std::ranges::find(kKnown, reference.format) == std::end(kKnown))
        return of_file(
            fmt::format("says that its {} is in the format {}, which is not followed", reference.role, reference.format));
      chain.nodes_.push_back({reference.format, at, path});
    }
    chain.nodes_[i] = std::move(node);
  }
  return chain;
}

Result<std::string> DiskChain::qemu_name(int first, const std::string& folder) {
  const auto open_as = [&](size_t file) { return fmt::format("/proc/self/fd/{}", first + static_cast<int>(file)); };
  const auto file_node = [&](size_t file, const std::string& name) {
    struct stat st{};
    const bool device = ::fstat(files_[file].fd, &st) == 0 && S_ISBLK(st.st_mode);
    return Json{{"driver", device ? "host_device" : "file"}, {"filename", name}};
  };
  Json whole;
  for (size_t i = nodes_.size(); i-- > 0;) {
    const Node& node = nodes_[i];
    std::string name = open_as(node.file);
    if (!node.extents.empty()) {
      const fs::path links = fs::path(folder) / fmt::format("disk{}", i);
      std::error_code error;
      if (!fs::create_directory(links, error) || error)
        return std::unexpected(system_error(fmt::format("cannot make {}", links.native()), error.value()));
      made_.push_back(links);
      const auto link = [&](const fs::path& at, size_t file) {
        // A text may name a file twice.
        if (!error && std::ranges::find(made_, at) == made_.end()) fs::create_symlink(open_as(file), at, error);
        if (!error) made_.push_back(at);
      };
      name = links / "descriptor:"; // no extent can be called that
      link(name, node.file);
      for (const auto& [extent, file] : node.extents) link(links / extent, file);
      if (error) return std::unexpected(system_error(fmt::format("cannot make a link in {}", links.native()), error.value()));
    }
    Json disk{{"driver", node.format}, {"file", file_node(node.file, name)}};
    if (node.data) disk["data-file"] = file_node(*node.data, open_as(*node.data));
    // qemu opens the backing file that a header names, unless it is told otherwise.
    if (node.format == "qcow2" || node.format == "vmdk") disk["backing"] = whole;
    whole = std::move(disk);
  }
  return "json:" + whole.dump(-1, ' ', true);
}

DiskChain::DiskChain(DiskChain&& other) noexcept
    : files_(std::exchange(other.files_, {})), nodes_(std::move(other.nodes_)), made_(std::exchange(other.made_, {})) {}

DiskChain::~DiskChain() {
  for (const File& file : files_) ::close(file.fd);
  std::error_code ignored;
  for (size_t i = made_.size(); i-- > 0;) fs::remove(made_[i], ignored);
}

}  // namespace extscrub
