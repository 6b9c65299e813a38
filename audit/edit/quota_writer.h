// A quota file as a whole: what is kept of an old one, and a new one with it. For one thread.
#pragma once

#include <map>
#include <vector>

#include "audit/edit/round.h"
#include "scan/format/quota_format.h"

namespace extscrub {

struct QuotaContents {
  uint32_t block_grace = 604800, inode_grace = 604800;  // seconds: a week, which is what there is without any other word
  std::map<uint32_t, QuotaEntryR1> entries;             // by id
};

// All that can be read of the file: limits of entries that no way leads to are found in the blocks that look like blocks
// of entries. An inode that cannot be read, or another kind of file, gives nothing.
[[nodiscard]] QuotaContents read_quota_contents(const FileSystem& fs, QuotaType type, InodeNo ino);

// Puts the usage counted into the entries, and takes out those that then say nothing.
void set_usage(QuotaContents& contents, const std::unordered_map<uint32_t, Usage>& usage);

// The bytes of a file (vfsv1), a multiple of 1 KiB. Empty when there are more ids than a file can hold.
[[nodiscard]] std::vector<std::byte> make_quota_file(QuotaType type, const QuotaContents& contents);

// Makes the inode a regular file with these bytes: in the blocks it has, where they are its own, and in free ones. False:
// there is no space, and nothing is staged.
[[nodiscard]] Result<bool> store_quota_file(RepairRound& round, InodeNo ino, Bytes bytes);

}  // namespace extscrub
