// Of several that claim one block: whose it is, and who may see what is in it. A pointer gone wrong must not give a file what
// only others could read.
// For one thread.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "audit/edit/pointer_history.h"
#include "audit/edit/round.h"

namespace extscrub {

class SharedEvidence {
 public:
  explicit SharedEvidence(const RepairRound& round);

  // How much speaks for the owner having that block at its place in the file, as a number to compare with other owners':
  // what other pointers have before and behind it, a block in use that nobody has and that would fit better, what lies in
  // the block, the file's size, what was found wrong with the inode besides, what the journal has of the pointer.
  [[nodiscard]] int weigh(const Owner& owner, BlockNo block);

  // Whoever reads the owner's file could read the other's as well: root alone does, or user and group are the same, and the
  // mode lets nobody in whom the other's keeps out. What is the file system's own is root's alone.
  [[nodiscard]] bool may_show(const Owner& to, const Owner& whose);

  // The same of all that the files have.
  [[nodiscard]] bool may_see_all_of(InodeNo reader, InodeNo other);

  // Something of the inode's map, size or checksum was found wrong.
  [[nodiscard]] bool is_suspect(InodeNo ino) const { return suspects_.contains(ino); }

 private:
  struct Known {
    std::vector<std::byte> raw;
    RunList list;
    bool extents = false;                    // a run is one pointer; else each block has its own
    std::map<uint64_t, int> weights_of_runs;  // by their first logical block
  };
  struct Neighbour {
    BlockNo block;     // 0: none
    uint64_t gap = 0;  // blocks of the hole between
  };
  struct Neighbours {
    Neighbour before, behind;
  };
  struct Access {
    uint32_t uid = 0, gid = 0;
    uint16_t mode = 0;  // who may read
  };

  Known& known(InodeNo ino);
  const Access& access(InodeNo ino);
  [[nodiscard]] static const Run* find_run(const Known& k, uint64_t logical);
  [[nodiscard]] static bool is_node(const Known& k, BlockNo block);
  [[nodiscard]] static Neighbours neighbours(const Known& k, uint64_t logical);
  [[nodiscard]] int weigh_neighbours(const Known& k, uint64_t logical, BlockNo block);
  [[nodiscard]] int weigh_node(const Known& k, BlockNo block) const;
  [[nodiscard]] int weigh_run(Known& k, uint64_t logical);
  [[nodiscard]] int weigh_whole_run(const Run& run);
  [[nodiscard]] const std::vector<std::byte>& bitmap(GroupNo group);
  [[nodiscard]] std::optional<bool> is_marked(BlockNo block);
  [[nodiscard]] bool is_adrift(BlockNo block);
  [[nodiscard]] uint64_t all_adrift();

  const RepairRound& round_;
  const FileSystem& fs_;
  const Geometry& g_;
  PointerHistory history_;
  std::map<InodeNo, Known> known_;
  std::map<InodeNo, Access> access_;
  std::set<InodeNo> suspects_;  // whose map, size or checksum had a finding of its own
  std::map<GroupNo, std::vector<std::byte>> bitmaps_;  // of the groups last asked for; empty: cannot be read
  std::optional<uint64_t> all_adrift_;
};

}  // namespace extscrub
