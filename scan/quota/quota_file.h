// The quota files: what the file system has written down of each user's, group's and project's usage. The format is that
// of Linux's vfsv0 and vfsv1 quota files: a radix tree over the ids, in blocks of 1 KiB (fs/quota/quota_tree.c,
// quotaio_v2.h). Stateless: any thread.
#pragma once

#include <string>
#include <vector>

#include "scan/quota/quota_usage.h"

namespace extscrub {

struct QuotaEntry {
  uint32_t id = 0;
  Usage usage;
};

// What is wrong with the file itself.
struct QuotaDefect {
  std::string field;
  std::string expected, found;
};

struct QuotaFileFacts {
  QuotaType type{};
  InodeNo inode;
  bool readable = false;  // it is a regular file in use, with a map that can be followed and a header that is right
  std::vector<QuotaEntry> entries;  // by id
  std::vector<QuotaDefect> defects;
};

// Reads the quota file that the superblock names for `type`; it must name one.
[[nodiscard]] QuotaFileFacts read_quota_file(const FileSystem& fs, QuotaType type);

}  // namespace extscrub
