// A partition that is not audited is a report like the others: a gate that passes a disk has seen all of it, or says why not.
#include "cli/input/targets.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/disk/identify.h"
#include "cli/process/exit_status.h"
#include "scan/load/load_file_system.h"

namespace extscrub {

namespace {

// What it adds to the exit status that a partition was not audited: what Linux has its files on must have been, the rest
// may be what it looks like.
int status_without_audit(PartitionUse use, const Contents& contents, bool strict) {
  if (contents.type == "swap" || contents.type == "swsuspend" || contents.type == "vfat") return kExitOk;
  if (use == PartitionUse::swap || use == PartitionUse::boot) return kExitOk;
  if (strict) return kExitErrorsLeft;
  if (use == PartitionUse::linux_files) return contents.usage == "filesystem" ? kExitOk : kExitErrorsLeft;
  if (use == PartitionUse::linux_volume)
    return contents.usage == "raid" || contents.usage == "crypto" ? kExitOk : kExitErrorsLeft;
  return kExitOk;
}

// Backup superblocks outlive what they belonged to. They count where nothing else is, and nothing else should be.
bool may_go_by_backups(PartitionUse use, const Contents& contents) {
  return contents.is_nothing() && (use == PartitionUse::linux_files || use == PartitionUse::other);
}

// What lies around a file system, and begins where it would.
bool is_wrapping(const Contents& contents) { return contents.usage == "crypto" || contents.type == "LVM2_member"; }

void refuse(Target& target, std::string why, int status = kExitErrorsLeft) {
  target.not_audited = std::move(why);
  target.exit_status |= status;
}

std::string_view kind_of(const Image& disk) { return disk.is_block_device() ? "device" : "file"; }

// An ext file system that may be there in part, or in one of several places.
void take_doubts(Target& target, const Contents& contents, const Image& disk, const Options& options) {
  const auto doubt = [&](std::string why) {
    if (options.access == Access::repair && target.not_audited.empty())
      target.not_audited = why + ", so that a scrub does not write to it";
    else
      target.warnings.push_back(std::move(why));
  };
  if (const uint64_t end = target.offset + *target.length; end > disk.size()) {
    target.exit_status |= kExitErrorsLeft;
    doubt(fmt::format("the partition ends {} bytes behind the end of the {}", end - disk.size(), kind_of(disk)));
  }
  if (contents.usage == "raid") {
    target.exit_status |= options.access == Access::repair || options.strict ? kExitErrorsLeft : kExitOk;
    doubt(fmt::format("the partition {} beside its file system; where that is in use, it is the volume that counts",
                      describe(contents)));
  }
}

Target target_of(const Image& disk, const Partition& partition, const Options& options) {
  Target target{partition.number, partition.offset, partition.length, partition.type.name, {}, {}, {}, kExitOk};
  if (!partition.refused.empty()) {
    refuse(target, partition.refused);
    return target;
  }
  if (partition.offset >= disk.size()) {
    refuse(target, fmt::format("begins {} bytes behind the end of the {}", partition.offset - disk.size(), kind_of(disk)));
    return target;
  }
  const auto image = disk.part(partition.offset, partition.length);
  if (!image) {
    refuse(target, text_of(image.error()), kExitOperational);
    return target;
  }
  const Contents contents = contents_of(*image);
  const PartitionUse use = partition.type.use;
  const bool is_ext = has_ext_magic(*image)
                          ? !is_wrapping(contents)
                          : may_go_by_backups(use, contents) && load_superblock(*image, nullptr, {}).has_value();
  if (is_ext) {
    take_doubts(target, contents, disk, options);
    return target;
  }
  target.holds = contents.type;
  refuse(target, describe(contents), status_without_audit(use, contents, options.strict));
  if (const uint64_t end = partition.offset + partition.length; end > disk.size())
    refuse(target,
           fmt::format("{}, and ends {} bytes behind the end of the {}", target.not_audited, end - disk.size(), kind_of(disk)));
  return target;
}

Result<std::vector<Target>> one_partition(const std::optional<PartitionTable>& table, const Image& disk, const Options& options) {
  if (!table) return std::unexpected(Error{"has no partition table, so there is no partition to look at"});
  const auto partition = std::ranges::find(table->partitions, options.partition, &Partition::number);
  if (partition == table->partitions.end())
    return std::unexpected(Error{fmt::format("has no partition {} in its {} partition table", options.partition, table->type)});
  Target target = target_of(disk, *partition, options);
  // Who asks for a partition knows better what it holds than its first bytes do.
  const bool is_there = partition->refused.empty() && partition->offset < disk.size();
  const bool is_cut = is_there && partition->offset + partition->length > disk.size();
  if (is_there && !(is_cut && options.access == Access::repair)) {
    target.not_audited.clear();
    if (!is_cut) target.exit_status = kExitOk;
  }
  target.warnings.insert(target.warnings.end(), table->defects.begin(), table->defects.end());
  return std::vector{std::move(target)};
}

// All of the disk from --offset on, but for the partition that lies there, which ends where it ends.
Target target_at(uint64_t offset, const std::optional<PartitionTable>& table) {
  Target target{0, offset, {}};
  if (!table || offset == 0) return target;
  for (const Partition& p : table->partitions)
    if (p.refused.empty() && p.offset <= offset && offset - p.offset < p.length) target.length = p.length - (offset - p.offset);
  return target;
}

std::vector<Target> targets_of(const PartitionTable& table, const Image& disk, const Options& options) {
  std::vector<Target> targets;
  for (const Partition& partition : table.partitions) targets.push_back(target_of(disk, partition, options));
  return targets;
}

bool is_audited(const Target& target) { return target.not_audited.empty(); }

// Whether a partition begins with something that proves it to be one.
bool has_known_contents(const PartitionTable& table, const Image& disk) {
  return std::ranges::any_of(table.partitions, [&](const Partition& p) {
    if (!p.refused.empty() || p.offset >= disk.size()) return false;
    const auto image = disk.part(p.offset, p.length);
    return image && (has_ext_magic(*image) || !contents_of(*image).is_nothing());
  });
}

// An MBR does not say in which units it counts. The image of a disk with sectors of 4096 bytes shows it by what is where.
std::optional<PartitionTable> find_table(const Image& disk, const Options& options) {
  auto table = find_partitions(disk, options.max_partitions);
  if (!table || table->type != "dos" || disk.is_block_device() || has_known_contents(*table, disk)) return table;
  auto large = read_partition_table(disk, options.max_partitions, 4096);
  return large && has_known_contents(*large, disk) ? large : table;
}

// What is to be said of the table is said with its first file system.
void take_defects(std::vector<Target>& targets, const PartitionTable& table, const Options& options) {
  auto first = std::ranges::find_if(targets, is_audited);
  if (first == targets.end()) first = targets.begin();
  first->warnings.insert(first->warnings.end(), table.hidden.begin(), table.hidden.end());
  first->warnings.insert(first->warnings.end(), table.defects.begin(), table.defects.end());
  if (!table.hidden.empty() || (options.strict && !table.defects.empty())) first->exit_status |= kExitErrorsLeft;
}

Target whole_without_audit(std::string why, int status) {
  Target whole;
  refuse(whole, std::move(why), status);
  return whole;
}

}  // namespace

Result<std::vector<Target>> find_targets(const std::string& path, const Options& options) {
  const std::vector<Target> whole{{0, options.offset.value_or(0), {}}};
  const auto disk = Image::open(path);
  if (!disk) return whole;
  const auto table = find_table(*disk, options);
  if (options.partition != 0) return one_partition(table, *disk, options);
  if (options.offset) return std::vector{target_at(*options.offset, table)};
  if (!table) return whole;
  // In front of an ext4 there may be a boot sector that looks like a table. A GPT would lie in its superblock, or in front
  // of a boot sector that mke2fs clears.
  const bool has_both = table->type != "gpt" && has_ext_magic(*disk);
  if (has_both && !has_known_contents(*table, *disk)) return whole;
  if (options.superblock)
    return std::unexpected(
        Error{fmt::format("holds a {} partition table, and a superblock of the whole disk may be what is left from before: name "
                          "the partition with --partition N, or insist with --offset 0",
                          table->type)});
  if (table->partitions.empty() && !table->hidden.empty())
    return std::unexpected(Error{fmt::format("{}", fmt::join(table->hidden, "; "))});

  std::vector<Target> targets = targets_of(*table, *disk, options);
  if (targets.empty()) return whole;
  const bool none = std::ranges::none_of(targets, is_audited);
  take_defects(targets, *table, options);
  const int strictly = options.strict ? kExitErrorsLeft : kExitOk;
  if (table->has_more)
    targets.push_back(whole_without_audit(
        fmt::format("has more than {} partitions, and the rest is not looked at (--max-partitions)", options.max_partitions),
        kExitErrorsLeft));
  if (has_both)
    targets.push_back(
        whole_without_audit("has an ext2/3/4 superblock of the whole disk too, which --offset 0 would go by", strictly));
  else if (none)
    targets.push_back(whole_without_audit(describe(*table), kExitOperational));
  return targets;
}

}  // namespace extscrub
