#include "audit/lost/misplaced_blocks.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"
#include "scan/inodes/owned_block.h"

namespace extscrub {

namespace {

// So many blocks are looked into: of more, noise was made.
constexpr size_t kMostBlocks = 4096;

using Seeds = std::map<uint32_t, InodeNo>;  // 0 as long as the inode is not known

std::vector<BlockRange> named_blocks(const AuditRun& run) {
  std::set<BlockNo> named;
  for (const Finding& f : run.findings)
    if (f.inode && f.block && run.fs.geometry.contains(*f.block) && !run.fs.metadata.find(*f.block)) named.insert(*f.block);
  std::vector<BlockRange> ranges;
  if (named.size() <= kMostBlocks)
    for (const BlockNo block : named) ranges.push_back({block, block + 1});
  return ranges;
}

// An inode whose own checksum is wrong says nothing of what is its own.
bool is_sealed(const Geometry& g, const Inode& inode) { return is_vouched_for(g, inode.number(), inode.raw()); }

// Fills in the inodes that the seeds are of. One that two inodes could have made is nobody's.
Result<void> find_inodes(const AuditRun& run, Progress* progress, Seeds& seeds) {
  if (seeds.empty()) return {};
  std::mutex mutex;
  std::set<uint32_t> twice;
  const auto look = [&](const Inode& inode) {
    const auto at = seeds.find(inode_seed(run.fs.geometry, inode.number(), inode.base().i_generation));
    if (at == seeds.end() || !is_sealed(run.fs.geometry, inode)) return;
    const std::lock_guard lock(mutex);
    if (at->second) twice.insert(at->first);
    at->second = inode.number();
  };
  if (auto r = for_each_used_inode(run.fs, progress, look); !r) return r;
  for (const uint32_t seed : twice) seeds.erase(seed);
  return {};
}

// What lies in a block, and what it was sealed for.
struct Sealed {
  Owner owner;
  std::vector<std::byte> bytes;
  SealedFor sealed;
};

enum class Fit : uint8_t { no, yes, unknown };

Fit fit(const AuditRun& run, const Owner& owner, Bytes bytes) {
  std::vector<std::byte> raw(run.fs.geometry.inode_size);
  if (!read_inode(run.fs, owner.inode, raw)) return Fit::unknown;
  const Inode inode(run.fs.geometry, owner.inode, raw);
  if (!is_sealed(run.fs.geometry, inode)) return Fit::unknown;
  return fits_owner(run.fs, owner, inode, bytes) ? Fit::yes : Fit::no;
}

// Whether something else lies in the block than its one owner can have there. Where several claim it, one of them may be right.
bool is_to_be_told(const AuditRun& run, const std::vector<Owner>& owners, size_t i, Bytes bytes) {
  const Owner& owner = owners[i];
  const auto same = [&](size_t other) { return other < owners.size() && owners[other].first == owner.first; };
  if (!owner.inode || same(i + 1) || (i > 0 && same(i - 1)) || fit(run, owner, bytes) != Fit::no) return false;
  return owner.use != Owner::Use::data || run.scan->links.type(owner.inode) == EXT2_FT_DIR;
}

// Of the places whose contents belong elsewhere, too, the only one where these would be right.
std::optional<BlockNo> find_place(const AuditRun& run, const Sealed& block, InodeNo belongs_to, const std::vector<Sealed>& all) {
  std::optional<BlockNo> home;
  for (const Sealed& other : all) {
    if (other.owner.inode != belongs_to || other.owner.first == block.owner.first ||
        fit(run, other.owner, block.bytes) != Fit::yes)
      continue;
    if (home) return std::nullopt;
    home = other.owner.first;
  }
  return home;
}

}  // namespace

Result<std::vector<MisplacedBlock>> find_misplaced_blocks(const AuditRun& run, Progress* progress) {
  std::vector<MisplacedBlock> misplaced;
  const FileSystem& fs = run.fs;
  const std::vector<BlockRange> ranges = fs.geometry.metadata_csum() ? named_blocks(run) : std::vector<BlockRange>();
  if (ranges.empty()) return misplaced;
  const auto owners = find_owners(fs, *run.scan, blocks_in(ranges), progress);
  if (!owners) return std::unexpected(owners.error());

  std::vector<Sealed> blocks;
  Seeds seeds;
  for (size_t i = 0; i < owners->size(); ++i) {
    Sealed block{(*owners)[i], std::vector<std::byte>(fs.geometry.block_size), {}};
    if (!fs.blocks->read(block.owner.first, block.bytes) || !is_to_be_told(run, *owners, i, block.bytes)) continue;
    block.sealed = sealed_for(fs.geometry, block.bytes);
    if (block.sealed.seed) seeds.emplace(*block.sealed.seed, InodeNo());
    blocks.push_back(std::move(block));
  }
  if (auto r = find_inodes(run, progress, seeds); !r) return std::unexpected(r.error());

  for (const Sealed& block : blocks) {
    const BlockNo at = block.owner.first;
    if (const BlockNo home = block.sealed.block; home && fs.geometry.contains(home) && home != at) {
      misplaced.push_back({block.owner, InodeNo(), home});
    } else if (block.sealed.seed) {
      const auto whose = seeds.find(*block.sealed.seed);
      if (whose == seeds.end() || !whose->second || whose->second == block.owner.inode) continue;
      misplaced.push_back({block.owner, whose->second, find_place(run, block, whose->second, blocks)});
    }
  }
  return misplaced;
}

}  // namespace extscrub
