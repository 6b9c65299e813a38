#include "scan/inodes/ea_inode.h"

#include <tbb/parallel_for.h>

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/format/crc.h"
#include "scan/map/file_reader.h"

namespace extscrub {

namespace {

constexpr uint64_t kValueMax = EXT2_XATTR_SIZE_MAX;  // bytes; a larger one is not read

}  // namespace

Result<uint32_t> ea_value_hash(const FileSystem& fs, const Inode& inode) {
  if (inode.size() > kValueMax || !inode.has_block_map()) return std::unexpected(Error{"it is no attribute's value"});
  FileReader file(fs, inode);
  if (!file.sound()) return std::unexpected(Error{"its block map is damaged"});
  std::vector<std::byte> buffer(fs.geometry.block_size);
  uint32_t hash = fs.geometry.csum_seed;
  for (uint64_t at = 0; at < inode.size(); at += buffer.size()) {
    const MutableBytes part(buffer.data(), std::min<uint64_t>(buffer.size(), inode.size() - at));
    if (auto r = file.read(at, part); !r) return std::unexpected(r.error());
    hash = crc32c(hash, part);
  }
  return hash;
}

namespace {

void read_facts(const FileSystem& fs, std::span<const EaValueReference> references, EaInodeFacts& facts) {
  std::vector<std::byte> raw(fs.geometry.inode_size);
  facts.references = references.size();
  if (!references.empty()) facts.referrer = references.front().owner;
  facts.readable = read_inode(fs, facts.inode, raw).has_value();
  if (!facts.readable) return;
  const Inode inode(fs.geometry, facts.inode, raw);
  const ext2_inode& base = inode.base();
  facts.type = inode.type();
  facts.in_use = base.i_links_count > 0;
  facts.size = inode.size();
  facts.stored_references = uint64_t{base.i_ctime} << 32 | base.osd1.linux1.l_i_version;
  // Lustre set all times alike, and kept neither count nor hash.
  facts.lustre = std::ranges::any_of(references, &EaValueReference::lustre) || base.i_ctime == base.i_atime;
  for (const EaValueReference& r : references)
    if (r.size != facts.size && !facts.wrong_size) facts.wrong_size = r.size;
  if (facts.lustre || facts.type != FileType::regular || !inode.has_block_map() || references.empty()) return;
  const auto hash = ea_value_hash(fs, inode);
  facts.value_read = hash.has_value();
  if (hash) facts.hash_expected = *hash;
  facts.hash_found = base.i_atime;
}

}  // namespace

std::vector<EaInodeFacts> read_ea_inodes(const FileSystem& fs, const InodeScan& scan) {
  std::vector<InodeNo> inodes = scan.ea_inodes;
  for (const EaValueReference& r : scan.ea_values) inodes.push_back(r.value);
  std::ranges::sort(inodes);
  inodes.erase(std::ranges::unique(inodes).begin(), inodes.end());
  std::vector<EaInodeFacts> out(inodes.size());
  tbb::parallel_for(size_t{0}, inodes.size(), [&](size_t i) {
    out[i].inode = inodes[i];
    const auto references = std::ranges::equal_range(scan.ea_values, inodes[i], {}, &EaValueReference::value);
    read_facts(fs, std::span(references.begin(), references.end()), out[i]);
  });
  return out;
}

}  // namespace extscrub
