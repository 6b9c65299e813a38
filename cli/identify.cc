#include "cli/identify.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <ranges>
#include <string_view>

#include "cli/escape.h"
#include "scan/file_system.h"

namespace extscrub {

namespace {

constexpr size_t kPartitionsNamed = 8;  // enough for a message; `fdisk -l` tells the rest

// libblkid's probe of the image's bytes from its offset on.
class Probe {
 public:
  explicit Probe(const Image& image) : image_(image), probe_(blkid_new_probe()) {
    ready_ = probe_ != nullptr &&
             blkid_probe_set_device(probe_, image.descriptor(), static_cast<blkid_loff_t>(image.offset()),
                                    static_cast<blkid_loff_t>(image.size())) == 0;
  }
  ~Probe() {
    if (probe_ != nullptr) blkid_free_probe(probe_);
    // libblkid tells the kernel to read nothing ahead, for all who read from the descriptor.
    if (image_.reads_ahead()) (void)::posix_fadvise(image_.descriptor(), 0, 0, POSIX_FADV_NORMAL);
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
  const Image& image_;
  blkid_probe probe_;
  bool ready_ = false;
};

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

bool has_ext_magic(const Image& image) {
  uint16_t magic = 0;
  constexpr uint64_t kMagicOffset = kSuperblockOffset + offsetof(ext2_super_block, s_magic);
  return image.size() >= kMagicOffset + sizeof magic && image.read(kMagicOffset, mutable_bytes_of(magic)) &&
         magic == EXT2_SUPER_MAGIC;
}

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

std::optional<PartitionTable> find_partitions(const Image& image) {
  if (has_ext_magic(image)) return std::nullopt;
  const Probe probe(image);
  if (!probe.ready()) return std::nullopt;
  blkid_probe_enable_superblocks(probe.get(), 0);
  blkid_probe_enable_partitions(probe.get(), 1);
  const blkid_partlist list = blkid_probe_get_partitions(probe.get());
  if (list == nullptr) return std::nullopt;
  const blkid_parttable table = blkid_partlist_get_table(list);
  if (table == nullptr) return std::nullopt;

  PartitionTable found{blkid_parttable_get_type(table), {}};
  for (int i = 0; i < blkid_partlist_numof_partitions(list); ++i) {
    const blkid_partition partition = blkid_partlist_get_partition(list, i);
    if (blkid_partition_is_extended(partition) != 0) continue;  // the logical ones in it are listed as well
    // Sectors of 512 bytes, whatever the device has.
    found.partitions.push_back({blkid_partition_get_partno(partition),
                                static_cast<uint64_t>(blkid_partition_get_start(partition)) * 512,
                                static_cast<uint64_t>(blkid_partition_get_size(partition)) * 512});
  }
  return found;
}

std::string describe(const PartitionTable& table) {
  std::vector<std::string> places;
  for (const Partition& partition : table.partitions | std::views::take(kPartitionsNamed))
    places.push_back(fmt::format("{} (partition {})", partition.offset, partition.number));
  const std::string what = fmt::format("holds a {} partition table", escape(table.type));
  if (places.empty()) return what + " without partitions";
  return fmt::format("{}, not ext2/3/4; its partitions begin at --offset {}", what, fmt::join(places, ", "));
}

bool holds_ext(const Image& image) {
  return has_ext_magic(image) || (!foreign_file_system(image) && load_superblock(image, nullptr, {}));
}

}  // namespace extscrub
