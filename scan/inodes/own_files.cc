#include "scan/inodes/own_files.h"

#include "scan/inodes/orphans.h"
#include "scan/quota/quota_file.h"

namespace extscrub {

std::vector<InodeNo> find_own_files(const FileSystem& fs) {
  std::vector<InodeNo> files;
  if (const InodeNo orphans = find_orphan_file(fs)) files.push_back(orphans);
  for (const QuotaType type : kQuotaTypes) {
    const InodeNo ino = quota_inode(fs, type);
    if (fs.geometry.valid_inode(ino) && ino.value >= fs.geometry.first_inode && read_quota_file(fs, type).readable)
      files.push_back(ino);
  }
  return files;
}

}  // namespace extscrub
