#include <fmt/format.h>

#include "audit/rules/rules.h"

namespace extscrub {

namespace {

Problem problem_of(MapDefectKind kind, bool extents) {
  switch (kind) {
    case MapDefectKind::header: return Problem::extent_header;
    case MapDefectKind::out_of_range: return extents ? Problem::extent_out_of_range : Problem::indirect_out_of_range;
    case MapDefectKind::order: return Problem::extent_order;
    case MapDefectKind::overlap: return Problem::extent_overlap;
    case MapDefectKind::length_zero: return Problem::extent_length_zero;
    case MapDefectKind::too_far: return extents ? Problem::extent_too_far : Problem::indirect_too_big;
    case MapDefectKind::index_mismatch: return Problem::extent_index_mismatch;
    case MapDefectKind::node_empty: return Problem::extent_node_empty;
    case MapDefectKind::checksum: return Problem::extent_checksum;
    case MapDefectKind::cluster: return Problem::extent_cluster;
    case MapDefectKind::translator: return Problem::indirect_out_of_range;
    case MapDefectKind::block_mapped: return Problem::map_by_block;
    case MapDefectKind::unwritten: return Problem::extent_unwritten_dir;
    case MapDefectKind::metadata_node: return Problem::map_metadata_block;
    case MapDefectKind::loop: return Problem::map_loop;
    case MapDefectKind::unreadable: return Problem::read_error;
  }
  return Problem::read_error;
}

// The resize inode's whole map follows from the geometry: whatever it names wrongly is damage of the one kind.
Problem problem_of(const MapDefect& d, const Inode& inode) {
  const bool read_failed = d.kind == MapDefectKind::unreadable;
  if (inode.number().value == EXT2_RESIZE_INO && !read_failed) return Problem::superblock_resize_inode;
  return problem_of(d.kind, inode.uses_extents());
}

void describe(const FileSystem& fs, const MapDefect& d, Finding& f) {
  if (d.expected != d.found)
    f.evidence = WrongNumber{d.expected, d.found, d.kind == MapDefectKind::checksum ? Radix::hex : Radix::decimal};
  if (d.kind == MapDefectKind::block_mapped) f.field = "i_flags";
  if (d.kind == MapDefectKind::unreadable) {
    f.field = "block map";
    f.evidence = Unreadable{UnreadPart::block_map, ""};
  }
  if (d.kind == MapDefectKind::translator) f.field = "i_translator";
  if (d.kind == MapDefectKind::out_of_range || d.kind == MapDefectKind::translator) {
    f.evidence = Note{fmt::format("{} to {}", fs.geometry.first_data_block, fs.geometry.blocks - 1), fmt::to_string(d.block)};
  }
  if (d.kind == MapDefectKind::metadata_node)
    if (const MetadataExtent* m = fs.metadata.find(d.block))
      f.evidence = Note{"", fmt::format("{} of group {}", name(m->kind), m->group)};
}

}  // namespace

bool check_block_map(const FileSystem& fs, const InodeFacts& facts, Findings& findings) {
  if (!facts.map) return false;
  bool damaged = false;
  for (const MapDefect& d : facts.map->defects) {
    Finding& f = findings.emplace_back();
    f.problem = problem_of(d, facts.inode);
    f.group = facts.group;
    f.inode = facts.inode.number();
    if (d.kind != MapDefectKind::block_mapped) {
      f.block = d.kind == MapDefectKind::header || d.kind == MapDefectKind::node_empty ? d.node : d.block;
      f.logical = d.logical;
    }
    describe(fs, d, f);
    damaged = damaged || d.kind != MapDefectKind::checksum;
  }
  return damaged;
}

}  // namespace extscrub
