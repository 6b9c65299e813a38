#include "audit/edit/inode_edit.h"

namespace extscrub {

bool has_name(const RepairRound& round, InodeNo ino) {
  const Geometry& g = round.geometry();
  const LinkTable& links = round.run.scan->links;
  if (!g.valid_inode(ino) || !links.in_use(ino)) return false;
  bool named = true;
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(round.fs(), ino, raw)) return true;
  const uint16_t stored = load<uint16_t>(raw, offsetof(ext2_inode, i_links_count));
  links.for_each_left(g.group_of(ino), [&](InodeNo other, uint32_t left) {
    if (other == ino && left >= stored) named = false;
  });
  return named;
}

bool is_shared(const RepairRound& round, BlockNo block) {
  return round.run.scan->claimed_again.test(round.geometry(), block) || round.fs().metadata.find(block);
}

}  // namespace extscrub
