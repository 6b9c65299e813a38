// GPT: UEFI specification, "GUID Partition Table (GPT) Disk Layout". MBR: the same, "Legacy Master Boot Record"; its
// logical partitions are a chain of boot records, each of which names one partition and the next record.
#include "cli/disk/partition_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <string_view>

namespace extscrub {

namespace {

constexpr uint64_t kGptSectors[] = {512, 4096};  // bytes; the sector sizes of disks
constexpr uint64_t kMostTableBytes = 16 << 20;   // 128 times what the usual 128 partitions take, and more
constexpr size_t kHeaderSize = 92;

// Of Ethernet, least significant bit first, as zlib has it.
uint32_t crc32(Bytes bytes) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = ~uint32_t{0};
  for (const std::byte byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  return ~crc;
}

struct [[gnu::packed]] GptHeader {
  char signature[8];
  uint32_t revision, header_size, header_crc, reserved;
  uint64_t my_lba, alternate_lba, first_usable_lba, last_usable_lba;
  uint8_t disk_guid[16];
  uint64_t entries_lba;
  uint32_t entry_count, entry_size, entries_crc;
};
static_assert(sizeof(GptHeader) == kHeaderSize);

struct GptEntry {
  std::array<uint8_t, 16> type, guid;
  uint64_t first_lba, last_lba;
};

struct [[gnu::packed]] DosEntry {
  uint8_t flag, first_chs[3], type, last_chs[3];
  uint32_t start, size;  // sectors
};
static_assert(sizeof(DosEntry) == 16);

struct BootRecord {
  std::array<DosEntry, 4> entries;
  bool has_signature = false;
  [[nodiscard]] bool is_valid() const {
    return has_signature && std::ranges::all_of(entries, [](const DosEntry& e) { return e.flag == 0 || e.flag == 0x80; });
  }
  [[nodiscard]] bool is_protective() const {
    return has_signature && std::ranges::any_of(entries, [](const DosEntry& e) { return e.type == 0xee; });
  }
};

std::optional<BootRecord> read_boot_record(const Image& disk, uint64_t at) {
  std::array<std::byte, 512> sector{};
  if (disk.size() < sector.size() || at > disk.size() - sector.size() || !disk.read(at, sector)) return std::nullopt;
  return BootRecord{load<std::array<DosEntry, 4>>(sector, 446), load<uint16_t>(sector, 510) == 0xaa55};
}

bool is_extended(uint8_t type) { return type == 0x05 || type == 0x0f || type == 0x85; }

// ---- GPT ----

struct Gpt {
  GptHeader header{};
  std::vector<std::byte> entries;
};

// The header at `lba` and its entries, both with the right checksum.
std::optional<Gpt> read_gpt(const Image& disk, uint64_t sector, uint64_t lba) {
  if (lba >= disk.size() / sector) return std::nullopt;
  std::vector<std::byte> bytes(sector);
  if (!disk.read(lba * sector, bytes)) return std::nullopt;
  Gpt gpt{load<GptHeader>(bytes), {}};
  const GptHeader& h = gpt.header;
  if (std::string_view(h.signature, 8) != "EFI PART" || h.my_lba != lba) return std::nullopt;
  if (h.header_size < kHeaderSize || h.header_size > sector) return std::nullopt;
  store(MutableBytes(bytes), offsetof(GptHeader, header_crc), uint32_t{0});
  if (crc32(Bytes(bytes).first(h.header_size)) != h.header_crc) return std::nullopt;
  if (h.entry_size < 128 || h.entry_size > 4096 || h.entry_count > kMostTableBytes / h.entry_size) return std::nullopt;
  const uint64_t size = uint64_t{h.entry_count} * h.entry_size;
  if (h.entries_lba > disk.size() / sector || size > disk.size() - h.entries_lba * sector) return std::nullopt;
  gpt.entries.resize(size);
  if (!disk.read(h.entries_lba * sector, gpt.entries) || crc32(gpt.entries) != h.entries_crc) return std::nullopt;
  return gpt;
}

std::vector<Partition> partitions_of(const Gpt& gpt, uint64_t sector) {
  std::vector<Partition> partitions;
  const GptHeader& h = gpt.header;
  const uint64_t largest = std::numeric_limits<int64_t>::max() / sector;
  for (uint32_t i = 0; i < h.entry_count; ++i) {
    const auto entry = load<GptEntry>(gpt.entries, size_t{i} * h.entry_size);
    if (entry.type == std::array<uint8_t, 16>{}) continue;
    Partition p{static_cast<int>(i + 1), 0, 0, gpt_partition_type(entry.type)};
    if (entry.first_lba > entry.last_lba || entry.last_lba >= largest) {
      p.refused = "ends before it begins, or where no disk is";
    } else {
      p.offset = entry.first_lba * sector;
      p.length = (entry.last_lba - entry.first_lba + 1) * sector;
      if (entry.first_lba < h.first_usable_lba || entry.last_lba > h.last_usable_lba)
        p.refused = "lies outside of what the partition table has for partitions";
    }
    partitions.push_back(std::move(p));
  }
  return partitions;
}

std::string size_text(uint64_t bytes) {
  constexpr uint64_t kMiB = 1 << 20;
  if (bytes != 0 && bytes % kMiB == 0) return fmt::format("{} MiB", bytes / kMiB);
  if (bytes != 0 && bytes % 1024 == 0) return fmt::format("{} KiB", bytes / 1024);
  return fmt::format("{} bytes", bytes);
}

void check_backup(PartitionTable& table, const Image& disk, const Gpt& primary, uint64_t sector) {
  const uint64_t said = primary.header.alternate_lba;
  if (said > std::numeric_limits<int64_t>::max() / sector - 1) {
    table.defects.push_back("the partition table says that its backup is where no disk is");
    return;
  }
  if (const uint64_t end = (said + 1) * sector; end > disk.size()) {
    table.defects.push_back(fmt::format("the partition table says {}, the {} has {} less: cut off, or the backup GPT is missing",
                                        size_text(end), disk.is_block_device() ? "device" : "file",
                                        size_text(end - disk.size())));
  } else if (const auto backup = read_gpt(disk, sector, said); !backup) {
    table.defects.push_back(fmt::format("the backup GPT, at byte {}, is missing or damaged", said * sector));
  } else if (backup->entries != primary.entries) {
    table.defects.push_back(fmt::format("the backup GPT, at byte {}, names other partitions", said * sector));
  }
}

std::optional<PartitionTable> read_gpt_table(const Image& disk, bool is_protected) {
  for (const uint64_t sector : kGptSectors) {
    PartitionTable table{"gpt", {}, false, {}, {}};
    auto gpt = read_gpt(disk, sector, 1);
    if (gpt) {
      check_backup(table, disk, *gpt, sector);
    } else if (is_protected && disk.size() >= 2 * sector) {
      // Without the protective MBR a backup may be what is left of a table that is no more.
      gpt = read_gpt(disk, sector, disk.size() / sector - 1);
      if (gpt) table.defects.push_back("the primary GPT is missing or damaged; its backup at the end is gone by");
    }
    if (!gpt) continue;
    if (!is_protected)
      table.defects.push_back("the GPT has no protective MBR in front of it, so that Linux does not see its partitions");
    table.partitions = partitions_of(*gpt, sector);
    const GptHeader& h = gpt->header;
    refuse_overlapping(table.partitions,
                       {{0, 2 * sector}, {h.entries_lba * sector, h.entries_lba * sector + gpt->entries.size()}});
    return table;
  }
  return std::nullopt;
}

// ---- MBR ----

// Goes along the chain of logical partitions; no record is read twice, and no more than `most` partitions are looked for.
void add_logical(PartitionTable& table, std::vector<TableExtent>& records, const Image& disk, uint64_t begin, uint64_t sector,
                 size_t most) {
  std::set<uint64_t> seen;
  const auto breaks_off = [&](uint64_t at, std::string_view why) {
    table.hidden.push_back(fmt::format("the chain of logical partitions breaks off at byte {}: {}", at, why));
  };
  int number = 5;
  for (uint64_t at = begin;;) {
    // A record that names no partition is one all the same.
    if (seen.size() > most) {
      table.has_more = true;
      return;
    }
    if (!seen.insert(at).second) return breaks_off(at, "it comes back to where it was");
    const auto record = read_boot_record(disk, at);
    if (!record) return breaks_off(at, "it leads out of the image, or cannot be read");
    if (!record->has_signature) return breaks_off(at, "there is no boot record");
    records.push_back({at, at + 512});
    std::optional<uint64_t> next;
    for (const DosEntry& entry : record->entries) {
      if (entry.type == 0 || entry.size == 0) continue;
      if (is_extended(entry.type)) {
        if (!next) next = begin + uint64_t{entry.start} * sector;
      } else {
        table.partitions.push_back(
            {number++, at + uint64_t{entry.start} * sector, uint64_t{entry.size} * sector, dos_partition_type(entry.type)});
      }
    }
    if (!next) return;
    at = *next;
  }
}

std::optional<PartitionTable> read_dos_table(const Image& disk, const BootRecord& mbr, size_t most, uint64_t sector) {
  if (!mbr.is_valid()) return std::nullopt;
  PartitionTable table{"dos", {}, false, {}, {}};
  std::vector<TableExtent> records{{0, 512}};
  for (int i = 0; const DosEntry& entry : mbr.entries) {
    ++i;
    if (entry.type == 0 || entry.type == 0xee || entry.size == 0 || is_extended(entry.type)) continue;
    table.partitions.push_back(
        {i, uint64_t{entry.start} * sector, uint64_t{entry.size} * sector, dos_partition_type(entry.type)});
  }
  // Linux reads one chain only, the first.
  const auto extended = std::ranges::find_if(mbr.entries, [](const DosEntry& e) { return is_extended(e.type) && e.size != 0; });
  if (extended != mbr.entries.end()) add_logical(table, records, disk, uint64_t{extended->start} * sector, sector, most);
  if (table.partitions.empty() && table.hidden.empty() && !table.has_more) return std::nullopt;
  refuse_overlapping(table.partitions, records);
  return table;
}

}  // namespace

// In each pair that overlaps both are refused: what is written to one changes the other. One pass over all in order of
// their beginning, in which the one that reaches farthest is remembered: it overlaps whatever begins before its end, and
// so did all that it has taken the place of.
void refuse_overlapping(std::vector<Partition>& partitions, const std::vector<TableExtent>& tables) {
  struct Piece {
    TableExtent where;
    Partition* partition;  // null: of the table
  };
  std::vector<Piece> pieces;
  for (const TableExtent& table : tables) pieces.push_back({table, nullptr});
  for (Partition& p : partitions)
    if (p.length > 0) pieces.push_back({{p.offset, p.offset + p.length}, &p});
  std::ranges::stable_sort(pieces, {}, [](const Piece& piece) { return piece.where.begin; });
  const auto refuse = [](const Piece& piece, const Piece& other) {
    if (piece.partition == nullptr || !piece.partition->refused.empty()) return;
    piece.partition->refused = other.partition == nullptr ? "overlaps the partition table"
                                                          : fmt::format("overlaps partition {}", other.partition->number);
  };
  const Piece* farthest = nullptr;
  for (const Piece& piece : pieces) {
    if (farthest != nullptr && piece.where.begin < farthest->where.end) {
      refuse(piece, *farthest);
      refuse(*farthest, piece);
    }
    if (farthest == nullptr || piece.where.end > farthest->where.end) farthest = &piece;
  }
}

std::optional<PartitionTable> read_partition_table(const Image& disk, size_t most, uint64_t sector) {
  const auto mbr = read_boot_record(disk, 0);
  if (!mbr) return std::nullopt;
  // As Linux has it, a GPT counts only behind a protective MBR, unless there is no other table.
  std::optional<PartitionTable> table;
  if (mbr->is_protective()) {
    table = read_gpt_table(disk, true);
    if (!table) {
      table = read_dos_table(disk, *mbr, most, sector);  // of a hybrid one
      if (!table) table = PartitionTable{"gpt", {}, false, {}, {}};
      table->hidden.push_back("the protective MBR announces a GPT, but neither the GPT nor its backup can be read");
    }
  } else {
    table = read_dos_table(disk, *mbr, most, sector);
    if (!table) table = read_gpt_table(disk, false);
  }
  if (table && table->partitions.size() > most) {
    table->has_more = true;
    table->partitions.resize(most);
  }
  return table;
}

}  // namespace extscrub
