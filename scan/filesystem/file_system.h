// An ext2, ext3 or ext4 file system as every reader needs it: superblock, geometry, descriptors, and where the metadata
// lies, over an image and, where there is one, the blocks staged over it.
// Immutable after load_file_system(): any thread.
#pragma once

#include <optional>
#include <vector>

#include "scan/filesystem/metadata_map.h"
#include "scan/format/geometry.h"
#include "scan/format/group_desc.h"
#include "scan/image/overlay.h"

namespace extscrub {

// A structure that lies elsewhere than its primary descriptor says.
struct MovedStructure {
  GroupNo group;
  MetadataKind kind{};
  BlockNo stored, found;  // `found` 0: what is at `stored` is something else, and no other place is known

  [[nodiscard]] bool is_lost() const { return !found; }
};

// A bitmap or inode table that lies on blocks something else claims.
struct ClaimedStructure {
  GroupNo group;
  MetadataKind kind{};
  bool is_taken = false;  // what claims them is right, so far as they tell
};

struct FileSystem {
  const Image* image = nullptr;
  const Overlay* blocks = nullptr;  // how every block is read
  ext2_super_block super{};
  BlockNo super_block;  // the superblock gone by; where a backup was asked for, `super` is the primary if that is sound
  bool super_checksum_ok = true;
  std::string primary_problem;  // why the primary superblock was not gone by; empty when it was
  std::optional<BlockNo> end;  // the first block that is missing, where the image is cut short
  // Features in `super` that the stored primary has not, but its backups have or the checksums of its descriptors prove.
  uint32_t lost_compat = 0, lost_incompat = 0, lost_ro_compat = 0;
  bool lost_creator = false;  // the same of s_creator_os, which makes it the Hurd's; the backups say that it is Linux's
  Geometry geometry;
  std::vector<GroupDesc> groups;  // geometry.groups of them
  std::vector<MovedStructure> moved;  // what `groups` says otherwise than the primary descriptors, by evidence
  std::vector<GroupNo> undecided;  // a backup descriptor names other places, and nothing tells which are right
  MetadataMap metadata;
  std::vector<BlockNo> bad_blocks;  // listed in the bad-blocks inode, but for the next ones; sorted, usually empty
  std::vector<BlockNo> bad_metadata;  // listed there, and no list can be right in that; sorted, usually empty
  std::vector<BlockNo> bad_again;  // listed there a second time, or what the list lies in; sorted, usually empty
  std::vector<InodeNo> orphans;  // on the orphan list: kept until the next mount releases them; sorted

  // The image was cut off in front of this block.
  [[nodiscard]] bool is_missing(BlockNo block) const { return end && block >= *end; }

  // Where `super` lies.
  [[nodiscard]] BlockNo super_at() const { return primary_problem.empty() ? geometry.super_block(GroupNo()) : super_block; }
};

// A file system that has no blocks to read through yet, read from its image.
struct ReadableCopy {
  explicit ReadableCopy(const FileSystem& source) : plain(*source.image, source.geometry.block_size), fs(source) {
    if (!fs.blocks) fs.blocks = &plain;
  }
  ReadableCopy(const ReadableCopy&) = delete;

  const Overlay plain;
  FileSystem fs;
};

// The group's descriptor to be stored: of what no place is known, what was stored before.
[[nodiscard]] GroupDesc descriptor_to_store(const FileSystem& fs, GroupNo group);

// The metadata map anew, when fs.groups have changed.
void lay_out_metadata(FileSystem& fs);

// The descriptors as stored in the copy of `group`; group 0 has the primary ones. Those that cannot be read say so.
[[nodiscard]] std::vector<GroupDesc> read_descriptors(const FileSystem& fs, GroupNo copy);

// The superblock as stored in the copy of `group`. Errors: it cannot be read.
[[nodiscard]] Result<ext2_super_block> read_superblock(const FileSystem& fs, GroupNo group);

}  // namespace extscrub
