// Directory blocks, inline directories, hash trees and names: the directories of a patched image are scanned; the input's
// own bytes are taken for entries and hashed as names.
#include "scan/directory/directory_scan.h"
#include "scan/format/dir_hash.h"
#include "tests/fuzz/scan_in.h"

namespace extscrub::fuzz {

namespace {

class TouchDefects : public DirectorySink {
 public:
  void entry(const EntryDefect& defect) override { touch(std::as_bytes(std::span(defect.name))); }
  void index(InodeNo, const HtreeDefect&) override {}
};

void hash_names(const DirHasher& hasher, std::string_view name) {
  for (const unsigned version : {EXT2_HASH_LEGACY, EXT2_HASH_HALF_MD4, EXT2_HASH_TEA, EXT2_HASH_SIPHASH}) {
    (void)hasher.hash(version, name);
    (void)hasher.folded_hash(version, name);
  }
  (void)hasher.well_formed(name);
  require(hasher.same_folded(name, name) || !hasher.well_formed(name), "a name that is itself");
}

void walk_entries(const DirHasher& hasher, Bytes area) {
  for (const uint32_t block_size : {1024u, 65536u}) {
    EntryWalk walk(area, block_size);
    uint32_t end = 0;
    while (const auto e = walk.next()) {
      require(e->offset == end && e->rec_len > 0, "entries that follow each other");
      end = e->offset + e->rec_len;
      hash_names(hasher, e->name);
    }
    require(walk.broken() || walk.offset() == area.size(), "a walk to the end");
  }
}

void fuzz(const PatchedImage& subject, Bytes input) {
  with_scan(subject, [&](const FileSystem& fs, InodeScan& scan) {
    TouchDefects sink;
    require(scan_directories(fs, scan, sink, nullptr).has_value(), "a scan that nobody cancels");
    const auto take = [](InodeNo, const DirEntry& e) { touch(std::as_bytes(std::span(e.name))); };
    require(for_each_entry(fs, scan.directories, nullptr, take).has_value(), "a scan that nobody cancels");
    walk_entries(DirHasher(fs.super), input);
  });
}

}  // namespace

}  // namespace extscrub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace extscrub;
  static fuzz::PatchedImage subject("directories");
  if (!subject.apply(data, size)) return 0;
  // Behind the head of the input's first patch, whose bytes usually are a directory block's.
  constexpr size_t kFirstPatch = 8;
  const Bytes input = std::as_bytes(std::span(data, size));
  fuzz::fuzz(subject, input.subspan(std::min(input.size(), kFirstPatch)));
  return 0;
}
