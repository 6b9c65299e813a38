#include "scan/journal/journal_space.h"

#include <algorithm>
#include <tuple>

#include "scan/filesystem/inode_table.h"
#include "scan/load/load_file_system.h"

namespace extscrub {

namespace {

auto shape(const Geometry& g) {
  return std::tie(g.block_size, g.cluster_bits, g.first_data_block, g.blocks, g.blocks_per_group, g.groups, g.inodes_per_group,
                  g.inode_size, g.desc_size, g.first_meta_bg, g.reserved_gdt_blocks);
}

bool same_places(const GroupDesc& a, const GroupDesc& b) {
  return a.readable && b.readable && a.block_bitmap == b.block_bitmap && a.inode_bitmap == b.inode_bitmap &&
         a.inode_table == b.inode_table;
}

bool same_format(const JournalSuper& a, const JournalSuper& b) {
  const auto key = [](const JournalSuper& s) {
    return std::tie(s.version, s.first, s.end, s.fc_first, s.fc_end, s.compat, s.incompat, s.ro_compat, s.csum_seed);
  };
  return key(a) == key(b);
}

// Behind the superblock that is loaded: descriptors, and the journal.
struct View {
  FileSystem fs;
  Journal journal;
};

std::optional<View> view(const Image& image, const Overlay& blocks) {
  auto fs = load_superblock(image, &blocks, {});
  if (!fs || !fs->primary_problem.empty() || fs->geometry.block_size != blocks.block_size()) return {};
  View v{std::move(*fs), {}};
  v.fs.blocks = &blocks;
  load_descriptors(v.fs);
  v.journal = open_journal(v.fs, nullptr);
  return v;
}

bool same_inode(const View& a, const View& b) {
  const InodeNo ino = a.journal.facts.inode;
  std::vector<std::byte> before(a.fs.geometry.inode_size), after(before.size());
  return ino == b.journal.facts.inode && read_inode(a.fs, ino, before) && read_inode(b.fs, ino, after) && before == after;
}

// A log that has a block twice, or one that is something else as well, holds what was written there last.
bool has_blocks_of_its_own(const View& stored) {
  const JournalLog& log = stored.journal.log;
  std::vector<BlockNo> blocks;
  for (uint64_t i = 0; i < log.blocks(); ++i) {
    const auto place = log.place(i);
    if (!place || !stored.fs.geometry.contains(*place) || stored.fs.metadata.find(*place) != nullptr) return false;
    blocks.push_back(*place);
  }
  std::ranges::sort(blocks);
  return std::ranges::adjacent_find(blocks) == blocks.end();
}

// Why the journal as it is stored is none to put a transaction into. `replayed` has what only the log shows.
std::string why_unfit(const Journal& journal, const JournalFacts& replayed) {
  const JournalFacts& facts = journal.facts;
  if (!facts.present) return "the file system has no journal";
  if (facts.external) return "the journal lies on another device";
  if (!facts.usable || !facts.defects.empty() || !replayed.defects.empty() || !replayed.whole) return "the journal is damaged";
  return {};
}

// Why a mount, which goes by what is stored now, would not do with the log what it should.
std::string why_unfit(const View& stored, const View& mended, const Overlay& staged) {
  if (shape(stored.fs.geometry) != shape(mended.fs.geometry) ||
      !std::ranges::equal(stored.fs.groups, mended.fs.groups, same_places))
    return "bitmaps or inode tables get other places";
  const Journal& now = stored.journal;
  const Journal& then = mended.journal;
  if (!then.facts.usable || !same_inode(stored, mended) || !now.log.lies_as(then.log) || !same_format(now.super, then.super))
    return "the journal itself is repaired";
  const auto superblock = now.log.place(now.log.super_block());
  const uint64_t whole_blocks = staged.image().size() / staged.block_size();
  for (const StagedBlock& block : staged.staged()) {
    if (block.block != superblock && now.log.contains(block.block)) return "the journal itself is repaired";
    if (block.block.value >= whole_blocks) return "the image ends inside a block that is repaired";
  }
  return {};
}

// From `first` on, round the log's end, up to the oldest transaction, or to a block that is to be kept.
void find_free(const Journal& journal, const JournalFacts& replayed, const LogInUse& in_use, JournalSpace& space) {
  const JournalSuper& s = journal.super;
  uint32_t count = s.end - s.first;
  if (!journal.facts.needs_recovery) {
    space.first = in_use.head >= s.first && in_use.head < s.end ? in_use.head : s.first;
    space.sequence = s.sequence;
  } else {
    // The number that the emptied journal will have: the one before it may be in the log, of a transaction cut short.
    space.first = replayed.log_end;
    space.sequence = replayed.last_sequence + 2;
    if (replayed.transactions > 0) count = (s.start + count - space.first) % count;
  }
  for (uint32_t at = space.first; count > 0; --count) {
    if (std::ranges::find(in_use.kept, at) != in_use.kept.end()) break;
    space.free.push_back(*journal.log.place(at));
    if (++at == s.end) at = s.first;
  }
}

}  // namespace

JournalSpace find_journal_space(const Image& image, const Overlay& staged, const JournalFacts& replayed, const LogInUse& in_use) {
  JournalSpace space;
  const Overlay plain(image, staged.block_size());
  const auto stored = view(image, plain), mended = view(image, staged);
  if (!stored || !mended) {
    space.unfit = "the primary superblock is damaged";
    return space;
  }
  space.unfit = why_unfit(stored->journal, replayed);
  if (space.unfit.empty() && !has_blocks_of_its_own(*stored)) space.unfit = "the journal is damaged";
  if (space.unfit.empty() && stored->journal.facts.needs_recovery && replayed.log_end == 0)
    space.unfit = "the journal has to be replayed first";
  if (space.unfit.empty()) space.unfit = why_unfit(*stored, *mended, staged);
  if (!space.unfit.empty()) return space;

  const Journal& journal = stored->journal;
  space.super = journal.super;
  space.uuid = journal.facts.uuid;
  find_free(journal, replayed, in_use, space);
  space.superblock = *journal.log.place(journal.log.super_block());
  space.superblock_bytes.resize(staged.block_size());
  if (!plain.read(space.superblock, space.superblock_bytes)) space.unfit = "the journal is damaged";
  return space;
}

}  // namespace extscrub
