// What each user, group and project uses, counted during the scan of the inodes where the feature quota is on.
// One counter belongs to one thread; each thread counts by itself, and the counts are added up.
#pragma once

#include <array>
#include <string_view>
#include <unordered_map>

#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

enum class QuotaType : uint8_t { user, group, project };
inline constexpr std::array kQuotaTypes = {QuotaType::user, QuotaType::group, QuotaType::project};

[[nodiscard]] std::string_view name(QuotaType type);
// The inode the superblock names as the quota file; 0 when there is none, or the feature is off.
[[nodiscard]] InodeNo quota_inode(const FileSystem& fs, QuotaType type);
// The field that names it, and the inode it has to be (0: any for files).
[[nodiscard]] const char* quota_field(QuotaType type);
[[nodiscard]] InodeNo reserved_quota_inode(QuotaType type);

struct Usage {
  uint64_t space = 0;   // bytes
  uint64_t inodes = 0;
  Usage operator-(const Usage& other) const { return {space - other.space, inodes - other.inodes}; }
  void operator+=(const Usage& other) { space += other.space, inodes += other.inodes; }
  bool operator==(const Usage&) const = default;
};

class QuotaUsage {
 public:
  explicit QuotaUsage(const FileSystem& fs);

  // Some quota file is kept.
  [[nodiscard]] bool wanted() const { return wanted_; }

  // An inode in use, with what it uses. Inodes that belong to the file system itself are left out.
  // `ea_inodes`: the inodes that hold its large attribute values, which are charged to it.
  void add(const Inode& inode, uint64_t space, uint64_t ea_inodes);
  void add(const QuotaUsage& other);

  // By id.
  [[nodiscard]] const std::unordered_map<uint32_t, Usage>& of(QuotaType type) const { return usage_[static_cast<size_t>(type)]; }
  // The part of it that inline symbolic links have: e2fsck leaves it out.
  [[nodiscard]] Usage inline_symlinks(QuotaType type, uint32_t id) const;

 private:
  const FileSystem* fs_;
  bool wanted_ = false;
  std::array<bool, 3> kept_{};
  std::array<std::unordered_map<uint32_t, Usage>, 3> usage_, inline_symlinks_;
};

}  // namespace extscrub
