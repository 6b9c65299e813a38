#include "cli/identify.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "cli/escape.h"

namespace extscrub {

namespace {

constexpr int kPartitionsNamed = 8;  // enough for a message; `fdisk -l` tells the rest

// libblkid's probe of the image's bytes from its offset on, with the file it reads from.
class Probe {
 public:
  explicit Probe(const Image& image)
      : fd_(::open(image.path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)), probe_(blkid_new_probe()) {
    ready_ = fd_ >= 0 && probe_ != nullptr &&
             blkid_probe_set_device(probe_, fd_, static_cast<blkid_loff_t>(image.offset()),
                                    static_cast<blkid_loff_t>(image.size())) == 0;
  }
  ~Probe() {
    if (probe_ != nullptr) blkid_free_probe(probe_);
    if (fd_ >= 0) ::close(fd_);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] blkid_probe get() const { return probe_; }

  // A value that was found, as "TYPE"; empty when there is none.
  [[nodiscard]] std::string value(const char* name) const {
    const char* data = nullptr;
    if (blkid_probe_lookup_value(probe_, name, &data, nullptr) != 0) return {};
    return data;
  }

 private:
  int fd_;
  blkid_probe probe_;
  bool ready_ = false;
};

bool has_ext_magic(const Image& image) {
  uint16_t magic = 0;
  constexpr uint64_t kMagicOffset = kSuperblockOffset + offsetof(ext2_super_block, s_magic);
  return image.size() >= kMagicOffset + sizeof magic && image.read(kMagicOffset, mutable_bytes_of(magic)) &&
         magic == EXT2_SUPER_MAGIC;
}

std::string_view article(std::string_view name) {
  // xfs and its like are read out letter by letter: "an ex-ef-es".
  const bool spelled_out = name == "xfs" || name == "ntfs" || name == "hfs" || name == "hfsplus";
  return spelled_out || std::string_view("aeioAEIO").contains(name.substr(0, 1)) ? "an" : "a";
}

std::string what_it_is(const std::string& type, const std::string& usage) {
  const std::string name = escape(type);
  if (type == "swap") return "swap space";
  if (usage == "filesystem") return fmt::format("{} {} file system", article(name), name);
  if (usage == "crypto") return fmt::format("encrypted data ({})", name);
  if (usage == "raid") return fmt::format("a part of a volume ({})", name);
  return fmt::format("{} data", name);
}

}  // namespace

std::optional<std::string> foreign_file_system(const Image& image) {
  if (has_ext_magic(image)) return std::nullopt;
  const Probe probe(image);
  if (!probe.ready()) return std::nullopt;
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
  if (blkid_do_safeprobe(probe.get()) != 0) return std::nullopt;  // nothing known, or several at once
  const std::string type = probe.value("TYPE");
  if (type.empty() || type.starts_with("ext") || type == "jbd") return std::nullopt;
  return fmt::format("holds {}, not ext2/3/4", what_it_is(type, probe.value("USAGE")));
}

std::optional<std::string> partition_table(const Image& image) {
  if (has_ext_magic(image)) return std::nullopt;
  const Probe probe(image);
  if (!probe.ready()) return std::nullopt;
  blkid_probe_enable_superblocks(probe.get(), 0);
  blkid_probe_enable_partitions(probe.get(), 1);
  const blkid_partlist list = blkid_probe_get_partitions(probe.get());
  if (list == nullptr) return std::nullopt;
  const blkid_parttable table = blkid_partlist_get_table(list);
  if (table == nullptr) return std::nullopt;

  std::vector<std::string> places;
  const int count = std::min(blkid_partlist_numof_partitions(list), kPartitionsNamed);
  for (int i = 0; i < count; ++i) {
    const blkid_partition partition = blkid_partlist_get_partition(list, i);
    // Sectors of 512 bytes, whatever the device has.
    places.push_back(fmt::format("{} (partition {})", static_cast<uint64_t>(blkid_partition_get_start(partition)) * 512,
                                 blkid_partition_get_partno(partition)));
  }
  const std::string what = fmt::format("holds a {} partition table", escape(blkid_parttable_get_type(table)));
  if (places.empty()) return what + " without partitions";
  return fmt::format("{}, not ext2/3/4; its partitions begin at --offset {}", what, fmt::join(places, ", "));
}

}  // namespace extscrub
