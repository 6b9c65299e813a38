#include "cli/targets.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/identify.h"

namespace extscrub {

namespace {

Target target_of(const Partition& partition) { return {partition.number, partition.offset, partition.length}; }

Result<std::vector<Target>> one_partition(const std::optional<PartitionTable>& table, int number) {
  if (!table) return std::unexpected(Error{"has no partition table, so there is no partition to look at"});
  const auto partition = std::ranges::find(table->partitions, number, &Partition::number);
  if (partition == table->partitions.end())
    return std::unexpected(Error{fmt::format("has no partition {} in its {} partition table", number, table->type)});
  return std::vector{target_of(*partition)};
}

}  // namespace

Result<std::vector<Target>> find_targets(const std::string& path, const Options& options) {
  const std::vector<Target> whole{{0, options.offset, {}}};
  if (options.offset != 0 || options.superblock) return whole;
  const auto disk = Image::open(path);
  if (!disk) return whole;
  const auto table = find_partitions(*disk);
  if (options.partition != 0) return one_partition(table, options.partition);
  if (!table) return whole;

  std::vector<Target> targets;
  for (const Partition& partition : table->partitions) {
    const auto image = disk->part(partition.offset, partition.length);
    if (image && holds_ext(*image)) targets.push_back(target_of(partition));
  }
  return targets.empty() ? whole : targets;
}

}  // namespace extscrub
