#include "cli/disk/partition_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace extscrub {

namespace {

struct GptType {
  std::string_view guid, name;
  PartitionUse use;
};

// The UEFI specification, and the Discoverable Partitions Specification of the UAPI group.
constexpr GptType kGptTypes[] = {
    {"0FC63DAF-8483-4772-8E79-3D69D8477DE4", "Linux filesystem", PartitionUse::linux_files},
    {"3B8F8425-20E0-4F3B-907F-1A25A76F98E8", "Linux server data", PartitionUse::linux_files},
    {"44479540-F297-41B2-9AF7-D131D5F0458A", "Linux root (x86)", PartitionUse::linux_files},
    {"4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "Linux root (x86-64)", PartitionUse::linux_files},
    {"6523F8AE-3EB1-4E2A-A05A-18B695AE656F", "Linux root (Alpha)", PartitionUse::linux_files},
    {"D27F46ED-2919-4CB8-BD25-9531F3C16534", "Linux root (ARC)", PartitionUse::linux_files},
    {"69DAD710-2CE4-4E3C-B16C-21A1D49ABED3", "Linux root (ARM)", PartitionUse::linux_files},
    {"B921B045-1DF0-41C3-AF44-4C6F280D3FAE", "Linux root (ARM-64)", PartitionUse::linux_files},
    {"993D8D3D-F80E-4225-855A-9DAF8ED7EA97", "Linux root (IA-64)", PartitionUse::linux_files},
    {"77055800-792C-4F94-B39A-98C91B762BB6", "Linux root (LoongArch-64)", PartitionUse::linux_files},
    {"37C58C8A-D913-4156-A25F-48B1B64E07F0", "Linux root (MIPS-32 LE)", PartitionUse::linux_files},
    {"700BDA43-7A34-4507-B179-EEB93D7A7CA3", "Linux root (MIPS-64 LE)", PartitionUse::linux_files},
    {"1DE3F1EF-FA98-47B5-8DCD-4A860A654D78", "Linux root (PPC)", PartitionUse::linux_files},
    {"912ADE1D-A839-4913-8964-A10EEE08FBD2", "Linux root (PPC64)", PartitionUse::linux_files},
    {"C31C45E6-3F39-412E-80FB-4809C4980599", "Linux root (PPC64LE)", PartitionUse::linux_files},
    {"60D5A7FE-8E7D-435C-B714-3DD8162144E1", "Linux root (RISC-V-32)", PartitionUse::linux_files},
    {"72EC70A6-CF74-40E6-BD49-4BDA08E8F224", "Linux root (RISC-V-64)", PartitionUse::linux_files},
    {"08A7ACEA-624C-4A20-91E8-6E0FA67D23F9", "Linux root (S390)", PartitionUse::linux_files},
    {"5EEAD9A9-FE09-4A1E-A1D7-520D00531306", "Linux root (S390X)", PartitionUse::linux_files},
    {"C50CDD70-3862-4CC3-90E1-809A8C93EE2C", "Linux root (TILE-Gx)", PartitionUse::linux_files},
    {"933AC7E1-2EB4-4F13-B844-0E14E2AEF915", "Linux home", PartitionUse::linux_files},
    {"4D21B016-B534-45C2-A9FB-5C16E091FD2D", "Linux variable data", PartitionUse::linux_files},
    {"7EC6F557-3BC5-4ACA-B293-16EF5DF639D1", "Linux temporary data", PartitionUse::linux_files},
    {"75250D76-8CC6-458E-BD66-BD47CC81A812", "Linux /usr (x86)", PartitionUse::linux_files},
    {"8484680C-9521-48C6-9C11-B0720656F69E", "Linux /usr (x86-64)", PartitionUse::linux_files},
    {"E18CF08C-33EC-4C0D-8246-C6C6FB3DA024", "Linux /usr (Alpha)", PartitionUse::linux_files},
    {"7978A683-6316-4922-BBEE-38BFF5A2FECC", "Linux /usr (ARC)", PartitionUse::linux_files},
    {"7D0359A3-02B3-4F0A-865C-654403E70625", "Linux /usr (ARM)", PartitionUse::linux_files},
    {"B0E01050-EE5F-4390-949A-9101B17104E9", "Linux /usr (ARM-64)", PartitionUse::linux_files},
    {"4301D2A6-4E3B-4B2A-BB94-9E0B2C4225EA", "Linux /usr (IA-64)", PartitionUse::linux_files},
    {"E611C702-575C-4CBE-9A46-434FA0BF7E3F", "Linux /usr (LoongArch-64)", PartitionUse::linux_files},
    {"0F4868E9-9952-4706-979F-3ED3A473E947", "Linux /usr (MIPS-32 LE)", PartitionUse::linux_files},
    {"C97C1F32-BA06-40B4-9F22-236061B08AA8", "Linux /usr (MIPS-64 LE)", PartitionUse::linux_files},
    {"7D14FEC5-CC71-415D-9D6C-06BF0B3C3EAF", "Linux /usr (PPC)", PartitionUse::linux_files},
    {"2C9739E2-F068-46B3-9FD0-01C5A9AFBCCA", "Linux /usr (PPC64)", PartitionUse::linux_files},
    {"15BB03AF-77E7-4D4A-B12B-C0D084F7491C", "Linux /usr (PPC64LE)", PartitionUse::linux_files},
    {"B933FB22-5C3F-4F91-AF90-E2BB0FA50702", "Linux /usr (RISC-V-32)", PartitionUse::linux_files},
    {"BEAEC34B-8442-439B-A40B-984381ED097D", "Linux /usr (RISC-V-64)", PartitionUse::linux_files},
    {"CD0F869B-D0FB-4CA0-B141-9EA87CC78D66", "Linux /usr (S390)", PartitionUse::linux_files},
    {"8A4F5770-50AA-4ED3-874A-99B710DB6FEA", "Linux /usr (S390X)", PartitionUse::linux_files},
    {"55497029-C7C1-44CC-AA39-815ED1558630", "Linux /usr (TILE-Gx)", PartitionUse::linux_files},
    {"BC13C2FF-59E6-4262-A352-B275FD6F7172", "Linux extended boot", PartitionUse::linux_files},
    {"773f91ef-66d4-49b5-bd83-d683bf40ad16", "Linux user's home", PartitionUse::linux_files},
    {"3CB8E202-3B7E-47DD-8A3C-7FF2A13CFCEC", "ChromeOS root fs", PartitionUse::linux_files},
    {"773F91EF-66D4-49B5-BD83-D683BF40AD16", "Linux user's home", PartitionUse::linux_files},
    {"A19D880F-05FC-4D3B-A006-743F0F84911E", "Linux RAID", PartitionUse::linux_volume},
    {"E6D6D379-F507-44C2-A23C-238F2A3DF928", "Linux LVM", PartitionUse::linux_volume},
    {"CA7D7CCB-63ED-4C53-861C-1742536059CC", "Linux LUKS", PartitionUse::linux_volume},
    {"7FFEC5C9-2D00-49B7-8941-3EA10A5586B7", "Linux dm-crypt", PartitionUse::linux_volume},
    {"0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", "Linux swap", PartitionUse::swap},
    {"C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EFI System", PartitionUse::fat},
    {"21686148-6449-6E6F-744E-656564454649", "BIOS boot", PartitionUse::boot},
    {"9E1A2D38-C612-4316-AA26-8B49521E5A8B", "PowerPC PReP boot", PartitionUse::boot},
    {"E3C9E316-0B5C-4DB8-817D-F92DF00215AE", "Microsoft reserved", PartitionUse::boot},
    {"8DA63339-0007-60C0-C436-083AC8230908", "Linux reserved", PartitionUse::boot},
    {"EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "Microsoft basic data", PartitionUse::other},
};

struct DosType {
  uint8_t type;
  std::string_view name;
  PartitionUse use;
};

constexpr DosType kDosTypes[] = {
    {0x01, "FAT12", PartitionUse::fat},
    {0x04, "FAT16 <32M", PartitionUse::fat},
    {0x06, "FAT16", PartitionUse::fat},
    {0x07, "HPFS/NTFS/exFAT", PartitionUse::other},
    {0x0b, "W95 FAT32", PartitionUse::fat},
    {0x0c, "W95 FAT32 (LBA)", PartitionUse::fat},
    {0x0e, "W95 FAT16 (LBA)", PartitionUse::fat},
    {0x11, "Hidden FAT12", PartitionUse::fat},
    {0x14, "Hidden FAT16 <32M", PartitionUse::fat},
    {0x16, "Hidden FAT16", PartitionUse::fat},
    {0x1b, "Hidden W95 FAT32", PartitionUse::fat},
    {0x1c, "Hidden W95 FAT32 (LBA)", PartitionUse::fat},
    {0x1e, "Hidden W95 FAT16 (LBA)", PartitionUse::fat},
    {0x41, "PPC PReP Boot", PartitionUse::boot},
    {0x82, "Linux swap", PartitionUse::swap},
    {0x83, "Linux", PartitionUse::linux_files},
    {0x88, "Linux plaintext", PartitionUse::other},
    {0x8e, "Linux LVM", PartitionUse::linux_volume},
    {0xda, "Non-FS data", PartitionUse::other},
    {0xe8, "Linux LUKS", PartitionUse::linux_volume},
    {0xea, "Linux extended boot", PartitionUse::linux_files},
    {0xef, "EFI (FAT-12/16/32)", PartitionUse::fat},
    {0xfd, "Linux raid autodetect", PartitionUse::linux_volume},
};

std::string text_of(const std::array<uint8_t, 16>& g) {
  return fmt::format("{:02X}{:02X}{:02X}{:02X}-{:02X}{:02X}-{:02X}{:02X}-{:02X}{:02X}-{:02X}{:02X}{:02X}{:02X}{:02X}{:02X}", g[3],
                     g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

}  // namespace

PartitionType gpt_partition_type(const std::array<uint8_t, 16>& guid) {
  const std::string text = text_of(guid);
  const auto known = std::ranges::find(kGptTypes, text, &GptType::guid);
  if (known == std::end(kGptTypes)) return {text};
  return {std::string(known->name), known->use};
}

PartitionType dos_partition_type(uint8_t type) {
  const auto known = std::ranges::find(kDosTypes, type, &DosType::type);
  if (known == std::end(kDosTypes)) return {fmt::format("0x{:02x}", type)};
  return {std::string(known->name), known->use};
}

}  // namespace extscrub
