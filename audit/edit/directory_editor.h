// One directory in a repair: all its names, wherever they lie, to be changed one by one and stored. Blocks that did not
// change stay as they are, and so do those around a change where it can be made in its place; else the directory is laid
// out anew, with its index where it has one.
// For one thread.
#pragma once

#include <vector>

#include "audit/edit/round.h"
#include "audit/stage/directory_names.h"
#include "audit/stage/directory_space.h"
#include "scan/format/dir_hash.h"

namespace extscrub {

class Salvage;

class DirectoryEditor {
 public:
  // Reads the directory. Errors: the inode cannot be read or staged.
  [[nodiscard]] static Result<DirectoryEditor> open(const RepairRound& round, InodeNo ino);

  [[nodiscard]] bool encrypted() const { return encrypted_; }
  [[nodiscard]] bool folded() const { return folded_; }
  [[nodiscard]] InodeNo parent() const { return form_.parent; }
  // What was hidden behind broken records was looked for; this many names were found there.
  [[nodiscard]] size_t salvaged() const { return salvaged_; }

  // The name at that place which is for `target`, or null. An inline directory has one place for each offset.
  [[nodiscard]] DirName* find(uint64_t logical, uint32_t offset, InodeNo target);
  template <class Fn>
  void for_each(Fn&& fn) {
    for (Block& b : blocks_)
      for (DirName& n : b.names)
        if (n.inode) fn(n);
  }

  // `name`: of find() or for_each(); its inode may have been set to 0, which removes it. `moved`: its hash is another.
  void changed(const DirName& name, bool moved = false);
  // The block is to be written again, with its checksum.
  void changed(uint64_t logical);
  void set_parent(InodeNo parent);
  void add(DirName name);
  // Blocks, map and index are to be made anew.
  void lay_out() { lay_out_ = true; }
  // The size of an inline directory's attribute is to be what entries can fill.
  void mend_inline() { mend_inline_ = true; }

  // False: it cannot be stored (no space, or what it would be stored in is damaged or doubtful), and nothing has changed.
  [[nodiscard]] Result<bool> store();

 private:
  struct Block {
    uint64_t logical = 0;
    bool node = false;      // of the index
    bool fresh = false;     // not in the map
    bool changed = false;
    bool doubtful = false;  // a leaf whose checksum does not vouch for its names
    std::vector<DirName> names;
  };
  using Names = std::vector<const DirName*>;

  DirectoryEditor(const RepairRound& round, InodeNo ino, MutableBytes raw);
  void read_blocks();
  void read_inline();
  void read_area(const Salvage& salvage, Bytes area, bool first, Block& block);
  void take(const Salvage& salvage, const DirEntry& entry, Bytes area, bool dots, Block& block);

  [[nodiscard]] static Names names_in(const Block& block);
  [[nodiscard]] bool fits(const Block& block) const;
  [[nodiscard]] bool can_stay() const;
  [[nodiscard]] bool may_write(const Block& block) const { return !block.doubtful || round_->lossy(); }
  Result<bool> store_inline();
  Result<bool> store_in_place();
  Result<bool> store_anew();
  Result<bool> store_index(const Names& names);
  Result<bool> store_linear(const Names& names);
  void set_indexed(bool indexed);
  Result<MutableBytes> edit(uint64_t logical) { return overlay_->edit(space_.block(logical)); }

  const RepairRound* round_;
  const FileSystem* fs_;
  Overlay* overlay_;
  InodeNo ino_;
  MutableBytes raw_;
  EntryForm form_;
  DirectorySpace space_;
  bool encrypted_ = false, folded_ = false, indexed_ = false, in_inode_ = false;
  unsigned hash_version_ = 0;
  bool readable_ = true;   // all of it was read
  bool may_seal_ = true;   // the inode's checksum may be made anew
  bool lay_out_ = false, mend_inline_ = false;
  size_t salvaged_ = 0;
  size_t with_room_ = 0;   // the first block that a new name may fit into
  std::vector<Block> blocks_;
};

// Sets `..` where it is, and seals the block or the inode. False: it is not where it should be, or what is in the block is
// doubtful and must not be sealed.
[[nodiscard]] Result<bool> set_dotdot(const RepairRound& round, InodeNo directory, InodeNo parent);

}  // namespace extscrub
