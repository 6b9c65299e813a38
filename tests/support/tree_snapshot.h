// Everything that users have in an image: all paths with what is behind them, read by libext2fs and not by extscrub; and what of
// it somebody sees that is not his. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace extscrub::test {

inline constexpr size_t kUnreadable = 1;

struct FileState {
  uint32_t inode = 0, uid = 0, mode = 0, links = 0;
  uint64_t size = 0;                          // bytes; 0 for a directory, whose blocks come and go
  std::map<uint64_t, size_t> blocks = {};  // a hash of each block that is not all zero, by logical block; not of a directory
  std::string target = {}, attributes = {};  // of a symbolic link; names and values of attributes

  [[nodiscard]] bool operator==(const FileState&) const = default;
};

struct TreeSnapshot {
  std::string error;  // why it could not be read in whole; empty when it could be
  std::map<std::string, FileState> files;  // by path; directories too
  std::vector<std::string> leaks;  // what somebody sees of another's, in words

  // The file with that inode number, under whatever name; the end when there is none.
  [[nodiscard]] std::map<std::string, FileState>::const_iterator of(uint32_t inode) const;
};

// What is in a file, a name, a target or an attribute of that user's and of nobody else's: begins with this.
[[nodiscard]] std::string mark_of(uint32_t uid);

// `kept_from_others`: hashes of blocks that are not for files of others than the user with the number.
[[nodiscard]] TreeSnapshot take_snapshot(const std::filesystem::path& image,
                                         const std::map<size_t, uint32_t>& kept_from_others = {});

// What an inode uses a block for.
struct BlockUse {
  uint32_t inode = 0;
  int64_t logical = 0;  // below 0: a node of its map; kAttributes
};
inline constexpr int64_t kAttributes = INT64_MIN;

// Of all blocks that inodes use, the resize inode excepted.
[[nodiscard]] std::map<uint64_t, BlockUse> uses_of_blocks(const std::filesystem::path& image);

[[nodiscard]] size_t hash_of(const char* bytes, size_t length);

}  // namespace extscrub::test
