#include "cli/disk/identify.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <ranges>
#include <string_view>

#include "cli/text/escape.h"

namespace extscrub {

namespace {

constexpr size_t kPartitionsNamed = 8;  // enough for a message; `fdisk -l` tells the rest

// libblkid's probe of the image's bytes from its offset on.
class Probe {
 public:
  explicit Probe(const Image& image) : image_(image), probe_(blkid_new_probe()) {
    ready_ = probe_ != nullptr && blkid_probe_set_device(probe_, image.descriptor(), static_cast<blkid_loff_t>(image.offset()),
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

// What libblkid's names stand for in a sentence behind "holds".
std::string what_it_is(const Contents& contents) {
  if (contents.ambiguous) return "the signatures of several file systems or volumes at once";
  const std::string name = escape(contents.type);
  if (contents.type == "swap") return "swap space";
  if (contents.usage == "filesystem") return fmt::format("{} {} file system", article(name), name);
  if (contents.usage == "crypto") return fmt::format("encrypted data ({})", name);
  if (contents.usage == "raid") return fmt::format("a part of a volume ({})", name);
  return fmt::format("{} data", name);
}

// The units in which the device counts, and so an MBR on it; who wrote the image of a disk has most likely had 512.
uint64_t sector_size(const Image& image) {
  int size = 512;
  if (image.is_block_device() && ::ioctl(image.descriptor(), BLKSSZGET, &size) != 0) size = 512;
  return static_cast<uint64_t>(size);
}

// A FAT, exFAT or NTFS begins with a boot sector that ends as an MBR does.
bool begins_with_boot_sector(const Image& image) {
  const Contents contents = contents_of(image);
  return contents.type == "vfat" || contents.type == "exfat" || contents.type == "ntfs";
}

// Tables of other systems. Those of ours are not asked for: libblkid follows a chain of logical partitions to its end.
std::optional<PartitionTable> find_other_table(const Image& image) {
  const Probe probe(image);
  if (!probe.ready()) return std::nullopt;
  blkid_probe_enable_superblocks(probe.get(), 0);
  blkid_probe_enable_partitions(probe.get(), 1);
  std::string gpt = "gpt", dos = "dos", protective = "PMBR";
  char* ours[] = {gpt.data(), dos.data(), protective.data(), nullptr};
  blkid_probe_filter_partitions_type(probe.get(), BLKID_FLTR_NOTIN, ours);
  const blkid_partlist list = blkid_probe_get_partitions(probe.get());
  if (list == nullptr) return std::nullopt;
  const blkid_parttable table = blkid_partlist_get_table(list);
  if (table == nullptr) return std::nullopt;

  PartitionTable found{blkid_parttable_get_type(table), {}, false, {}, {}};
  for (int i = 0; i < blkid_partlist_numof_partitions(list); ++i) {
    const blkid_partition partition = blkid_partlist_get_partition(list, i);
    if (blkid_partition_is_extended(partition) != 0) continue;  // the logical ones in it are listed as well
    // Sectors of 512 bytes, whatever the device has.
    const char* type = blkid_partition_get_type_string(partition);
    found.partitions.push_back({blkid_partition_get_partno(partition),
                                static_cast<uint64_t>(blkid_partition_get_start(partition)) * 512,
                                static_cast<uint64_t>(blkid_partition_get_size(partition)) * 512,
                                {type != nullptr ? type : "", PartitionUse::other}});
  }
  refuse_overlapping(found.partitions, {});
  return found;
}

}  // namespace

bool has_ext_magic(const Image& image) {
  uint16_t magic = 0;
  constexpr uint64_t kMagicOffset = kSuperblockOffset + offsetof(ext2_super_block, s_magic);
  return image.size() >= kMagicOffset + sizeof magic && image.read(kMagicOffset, mutable_bytes_of(magic)) &&
         magic == EXT2_SUPER_MAGIC;
}

Contents contents_of(const Image& image) {
  const Probe probe(image);
  if (!probe.ready()) return {};
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
  constexpr int kSeveral = -2;
  const int found = blkid_do_safeprobe(probe.get());
  if (found == kSeveral) return {{}, {}, true};
  if (found != 0) return {};
  const std::string type = probe.value("TYPE");
  if (type.starts_with("ext") || type == "jbd") return {};
  return {type, probe.value("USAGE")};
}

std::optional<std::string> foreign_file_system(const Image& image) {
  if (has_ext_magic(image)) return std::nullopt;
  const Contents contents = contents_of(image);
  if (contents.is_nothing()) return std::nullopt;
  return fmt::format("holds {}, not ext2/3/4", what_it_is(contents));
}

std::string describe(const Contents& contents) {
  return contents.is_nothing() ? "holds nothing that is known" : "holds " + what_it_is(contents);
}

std::optional<PartitionTable> find_partitions(const Image& image, size_t most) {
  auto table = read_partition_table(image, most, sector_size(image));
  if (table && table->type == "dos" && begins_with_boot_sector(image)) table.reset();
  if (table || has_ext_magic(image)) return table;
  return find_other_table(image);
}

std::string describe(const PartitionTable& table) {
  std::vector<std::string> places;
  for (const Partition& partition : table.partitions | std::views::take(kPartitionsNamed))
    places.push_back(fmt::format("{} (partition {})", partition.offset, partition.number));
  const std::string what = fmt::format("holds a {} partition table", escape(table.type));
  if (places.empty()) return what + " without partitions";
  return fmt::format("{}, not ext2/3/4; its partitions begin at --offset {}", what, fmt::join(places, ", "));
}

}  // namespace extscrub
