// Extended attributes in inodes, in blocks and in inodes of their own, inline data and symbolic links.
#include "scan/attribute/ea_value.h"
#include "scan/filesystem/inode_table.h"
#include "scan/inodes/ea_inode.h"
#include "scan/inodes/xattr_block.h"
#include "tests/fuzz/scan_in.h"

namespace extscrub::fuzz {

namespace {

constexpr uint32_t kMostInodes = 64;

void take_facts(const EaFacts& facts) {
  for (const EaEntry& e : facts.entries) {
    touch(e.name);
    touch(e.value);
    (void)attribute_name(e.name_index, e.name);
  }
  (void)ea_block_hash(facts.entries);
}

void read_all(const FileSystem& fs, const Inode& inode) {
  EaFacts facts;
  check_inode_attributes(fs, inode, facts);
  take_facts(facts);
  if (inode.type() == FileType::symlink) (void)read_symlink(fs, inode, BlockNo(fs.geometry.first_data_block + 1), &facts);
  for (const EaEntry& e : inode_ea_entries(fs.geometry, inode)) touch(e.name), touch(e.value);
  if (const auto value = inode_ea_value(fs.geometry, inode, kSystemIndex, "data")) touch(*value);
  touch(ea_value(fs, inode, kEncryptionIndex, "c"));
  const BlockNo at = inode.ea_block();
  std::vector<std::byte> block(fs.geometry.block_size);
  if (!at || !fs.geometry.contains(at) || !fs.blocks->read(at, block)) return;
  check_block_attributes(fs, inode, at, block, facts);
  take_facts(facts);
  for (const EaEntry& e : block_ea_entries(block)) touch(e.name), touch(e.value);
}

void fuzz(const PatchedImage& subject) {
  with_scan(subject, [&](const FileSystem& fs, InodeScan& scan) {
    std::vector<std::byte> raw(fs.geometry.inode_size);
    for (InodeNo ino(1); ino.value <= std::min(fs.geometry.inodes, kMostInodes); ++ino)
      if (read_inode(fs, ino, raw)) read_all(fs, Inode(fs.geometry, ino, raw));
    const auto take = [](const EaBlockFacts& facts) { take_facts(facts.attributes); };
    require(scan_ea_blocks(fs, scan, nullptr, take).has_value(), "a scan that nobody cancels");
    (void)read_ea_inodes(fs, scan);
  });
}

}  // namespace

}  // namespace extscrub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static extscrub::fuzz::PatchedImage subject("attributes");
  if (subject.apply(data, size)) extscrub::fuzz::fuzz(subject);
  return 0;
}
