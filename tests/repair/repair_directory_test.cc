// Directories, lost+found and names after a repair: what is built, what is kept, and what is done when there is no space.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "audit/edit/directory_salvage.h"
#include "audit/rules/rules.h"
#include "audit/stage/free_name.h"
#include "audit/stage/htree_builder.h"
#include "scan/format/htree.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

namespace fs = std::filesystem;

std::string long_name(unsigned i, size_t length) {
  std::string name = fmt::format("{}", i * 2654435761u);
  name.resize(length, static_cast<char>('a' + i % 26));
  return name;
}

// A directory `dir` with that many names of one file each, or of one file together.
void make_tree(const fs::path& root, unsigned names, bool one_file) {
  fs::create_directories(root / "dir");
  for (unsigned i = 0; i < names; ++i) {
    const fs::path name = root / "dir" / fmt::format("a name that is a bit longer {}", i);
    if (i == 0 || !one_file)
      std::ofstream(name) << "x";
    else
      fs::create_hard_link(root / "dir" / "a name that is a bit longer 0", name);
  }
}

std::set<std::string> names_in(const TestImage& image, const std::string& directory) {
  std::set<std::string> names;
  const std::string listing = image.debugfs("ls -p " + directory, true);
  for (size_t at = 0; at < listing.size();) {
    const size_t end = listing.find('\n', at);
    const std::string line = listing.substr(at, end - at);
    // /inode/mode/uid/gid/name/size/
    size_t from = 0;
    for (int i = 0; i < 5 && from != line.npos; ++i) from = line.find('/', from) + 1;
    // A block without entries in use is listed with an empty name.
    if (const size_t length = line.find('/', from) - from; line.starts_with("/") && length > 0)
      names.insert(line.substr(from, length));
    if (end == listing.npos) break;
    at = end + 1;
  }
  return names;
}

RepairPlan mend(const TestImage& image, RepairPolicy policy) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, policy);
  apply(image, plan);
  return plan;
}

struct Built {
  std::vector<std::vector<std::byte>> blocks;
  unsigned levels = 0;
};

// Lays out `names` and holds the result against what reads indexes.
Built check_index(const Geometry& g, const EntryForm& form, unsigned version, std::span<const DirName* const> names) {
  ext2_super_block super{};
  super.s_hash_seed[0] = 77;
  const DirHasher hasher(super);
  HtreeBuilder builder(g, hasher, form, version, false);
  const auto count = builder.plan(names, 80);
  REQUIRE(count);
  Built built;
  std::vector<uint8_t> kinds;
  std::vector<HashRange> ranges(*count);
  std::vector<HtreeNode> nodes;
  std::vector<uint32_t> node_blocks;
  std::set<std::string> seen;
  for (uint32_t i = 0; i < *count; ++i) {
    auto& block = built.blocks.emplace_back(g.block_size);
    builder.write(i, block);
    const bool node = i == 0 || looks_like_node(g, block);
    kinds.push_back(node ? HashRange::node : HashRange::leaf);
    if (node) {
      nodes.push_back(parse_htree_node(g, block, i, static_cast<uint32_t>(*count), form.seed, false));
      node_blocks.push_back(i);
      REQUIRE(nodes.back().defects.empty());
      continue;
    }
    REQUIRE((!form.with_checksum || leaf_tail(block) == leaf_checksum(form.seed, block)));
    EntryWalk walk(Bytes(block).first(form.room()), g.block_size);
    while (const auto e = walk.next()) {
      const uint32_t hash = *hasher.hash(version, e->name);
      ranges[i].low = std::min(ranges[i].low, hash);
      ranges[i].high = std::max(ranges[i].high, hash);
      seen.insert(std::string(e->name));
    }
    REQUIRE_FALSE(walk.broken());
  }
  CHECK(seen.size() == names.size());
  std::vector<HtreeNodeAt> at;
  for (size_t i = 0; i < nodes.size(); ++i) at.push_back({node_blocks[i], nodes[i].entries});
  std::vector<std::pair<uint32_t, uint32_t>> continued;
  CHECK(verify_htree(nodes[0].levels, at, kinds, ranges, continued).empty());
  CHECK(nodes[0].version == version);
  built.levels = nodes[0].levels;
  return built;
}

}  // namespace

TEST_CASE("index with one, two and three levels, by every hash", "[directory][repair]") {
  Geometry g;
  g.block_size = 1024;
  g.incompat = EXT4_FEATURE_INCOMPAT_LARGEDIR | EXT2_FEATURE_INCOMPAT_FILETYPE;
  std::vector<DirName> names(48'000);
  std::vector<const DirName*> pointers;
  for (unsigned i = 0; i < names.size(); ++i) {
    names[i].name = long_name(i, 200 + i % 56);
    names[i].inode = InodeNo(12 + i);
    pointers.push_back(&names[i]);
  }
  for (const bool checksums : {false, true}) {
    g.ro_compat = checksums ? EXT4_FEATURE_RO_COMPAT_METADATA_CSUM : 0;
    const EntryForm form{1024, false, checksums, true, checksums ? 4711u : 0u, InodeNo(11), InodeNo(2)};
    for (const unsigned version : {EXT2_HASH_LEGACY, EXT2_HASH_HALF_MD4, EXT2_HASH_TEA}) {
      INFO("version " << version << ", checksums " << checksums);
      CHECK(check_index(g, form, version, std::span(pointers).first(100)).levels == 0);
      CHECK(check_index(g, form, version, std::span(pointers).first(3000)).levels == 1);
    }
    CHECK(check_index(g, form, EXT2_HASH_HALF_MD4, pointers).levels == 2);
  }
  // Without large_dir there are two levels.
  g.incompat = 0;
  ext2_super_block super{};
  const DirHasher hasher(super);
  const EntryForm form{1024, false, true, true, 1, InodeNo(11), InodeNo(2)};
  CHECK_FALSE(HtreeBuilder(g, hasher, form, EXT2_HASH_TEA, false).plan(pointers, 80));
  CHECK_FALSE(HtreeBuilder(g, hasher, form, EXT2_HASH_SIPHASH, false).plan(std::span(pointers).first(10), 80));
}

TEST_CASE("index of a directory with thousands of names is built anew", "[directory][repair]") {
  TempDir tree;
  make_tree(tree.path(), 5000, true);
  const TestImage sound({"-t", "ext4", "-b", "1024", "-O", "casefold", "-N", "256"}, "12M", tree.path());
  const std::set<std::string> names = names_in(sound, "/dir");
  REQUIRE(names.size() == 5002);
  for (const char* version : {"legacy", "half_md4", "tea"})
    for (const int sign : {EXT2_FLAGS_SIGNED_HASH, EXT2_FLAGS_UNSIGNED_HASH})
      for (const bool folded : {false, true}) {
        INFO(version << ", flags " << sign << ", casefold " << folded);
        const TestImage image = sound.copy();
        image.debugfs(fmt::format("ssv def_hash_version {}", version));
        image.debugfs(fmt::format("ssv flags {}", sign));
        image.debugfs(fmt::format("sif /dir flags {:#x}", EXT4_EXTENTS_FL | EXT2_INDEX_FL | (folded ? EXT4_CASEFOLD_FL : 0)));
        const RepairPlan plan = mend(image, RepairPolicy::safe);
        INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
        CHECK(plan.proven_clean);
        CHECK(plan.losses.empty());
        const Outcome judgement = image.e2fsck_report();
        INFO(judgement.output);
        CHECK(judgement.status == 0);
        CHECK(image.peek<uint32_t>(image.inode_offset(image.inode_of("/dir")) + offsetof(ext2_inode, i_flags)) & EXT2_INDEX_FL);
        CHECK(names_in(image, "/dir") == names);
      }
}

TEST_CASE("lost+found is made, and grows, for thousands of files", "[directory][repair]") {
  TempDir tree;
  make_tree(tree.path(), 3000, false);
  for (const bool missing : {false, true}) {
    const TestImage image({"-t", "ext4", "-b", "1024", "-N", "4096"}, "16M", tree.path());
    if (missing) image.debugfs("rmdir /lost+found");
    image.debugfs("clri /dir");
    const RepairPlan plan = mend(image, RepairPolicy::all);
    INFO("after:\n" << describe(plan.after.findings));
    CHECK(plan.proven_clean);
    CHECK(image.e2fsck() == 0);
    CHECK(names_in(image, "/lost+found").size() == 3002);
    // And the entry of the directory, and its inode, where the counts that tell of it agree.
    CHECK(plan.losses.size() == (missing ? 3001 : 3002));
  }
}

TEST_CASE("second of two files with one name is renamed, its double removed", "[directory][repair]") {
  const TestImage image("ext4-plain");
  const uint32_t first = image.inode_of("/dir/file2"), second = image.inode_of("/dir/file1");
  std::vector<std::byte> block(image.block_size());
  const uint64_t at = image.offset(image.block_of("/dir"));
  image.read(at, block);
  EntryWalk walk(block, image.block_size());
  while (const auto e = walk.next()) {
    if (e->name == "file1") image.poke(at + e->offset + kEntryHeader + 4, '3');
    if (e->name == "file4") image.poke(at + e->offset + kEntryHeader + 4, '3');
    if (e->name == "file5") {
      image.poke(at + e->offset, first);
      image.poke(at + e->offset + kEntryHeader + 4, '2');
    }
  }
  const RepairPlan plan = mend(image, RepairPolicy::all);
  INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  CHECK(image.e2fsck() == 0);
  const std::set<std::string> names = names_in(image, "/dir");
  for (const char* name : {"file2", "file3", "file3~0", "file3~1"}) CHECK(names.contains(name));
  for (const char* name : {"file1", "file4", "file5", "file2~0"}) CHECK_FALSE(names.contains(name));
  CHECK(image.inode_of("/dir/file2") == first);
  CHECK(std::ranges::any_of(plan.losses, [](const Loss& l) { return l.what == "entry 'file3' renamed to 'file3~0'"; }));
  CHECK(second != 0);
}

TEST_CASE("free names skip those that are taken, and keep within the longest", "[directory][repair]") {
  ext2_super_block super{};
  super.s_feature_incompat = EXT4_FEATURE_INCOMPAT_CASEFOLD;
  super.s_encoding = EXT4_ENC_UTF8_12_1;
  const DirHasher hasher(super);
  FreeNames names(hasher, false);
  CHECK(names.take("a~0"));
  CHECK_FALSE(names.take("a~0"));
  CHECK(names.choose("a") == "a~1");
  CHECK(names.choose("a") == "a~2");
  CHECK(names.choose(fmt::format("{:x>255}", "")) == fmt::format("{:x>253}~0", ""));
  CHECK(names.choose(fmt::format("{:x>252}\xC3\x9Fy", "")) == fmt::format("{:x>252}~0", ""));
  FreeNames folded(hasher, true);
  CHECK(folded.take("A~0"));
  CHECK(folded.choose("a") == "a~1");
}

TEST_CASE("entries behind a malformed record are saved", "[directory][repair]") {
  for (const uint16_t rec_len : {uint16_t{18}, uint16_t{8}, uint16_t{4}, uint16_t{60000}}) {
    INFO("rec_len " << rec_len);
    const TestImage image("ext4-plain");
    const std::set<std::string> before = names_in(image, "/dir");
    std::vector<std::byte> block(image.block_size());
    const uint64_t at = image.offset(image.block_of("/dir"));
    image.read(at, block);
    EntryWalk walk(block, image.block_size());
    while (const auto e = walk.next())
      if (e->name == "file9") image.poke(at + e->offset + 4, rec_len);
    const RepairPlan plan = mend(image, RepairPolicy::all);
    INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
    CHECK(plan.proven_clean);
    CHECK(image.e2fsck() == 0);
    CHECK(names_in(image, "/dir") == before);
    CHECK(names_in(image, "/lost+found").size() == 2);
  }
}

TEST_CASE("directory with more subdirectories than can be counted needs dir_nlink", "[directory][repair]") {
  FileSystem fs;
  fs.geometry.groups = 1;
  fs.geometry.inodes_per_group = fs.geometry.inodes = fs.geometry.clusters_per_group = fs.geometry.blocks_per_group = 128;
  fs.geometry.first_inode = 11;
  fs.groups.resize(1);
  InodeScan scan(fs);
  Directory& d = scan.directories.directories.emplace_back();
  d.inode = InodeNo(12);
  d.children = EXT2_LINK_MAX - 2;
  d.links = EXT2_LINK_MAX;
  const auto problems = [&] {
    std::vector<Problem> result;
    Findings findings;
    check_links(fs, scan, {}, findings);
    for (const Finding& f : findings) result.push_back(f.problem);
    return result;
  };
  CHECK(problems().empty());
  ++d.children;
  d.links = 1;
  CHECK(problems() == std::vector{Problem::feature_dir_nlink});
  d.links = 2;
  CHECK(problems() == std::vector{Problem::feature_dir_nlink, Problem::inode_links});
  fs.geometry.ro_compat = EXT4_FEATURE_RO_COMPAT_DIR_NLINK;
  d.links = 1;
  CHECK(problems().empty());
}

TEST_CASE("without space for lost+found a file without a name stays as it is", "[directory][repair]") {
  const TestImage image("ext4-plain");
  image.debugfs("rmdir /lost+found");
  const uint32_t inode = image.inode_of("/three");
  image.debugfs("unlink /three");
  image.debugfs("sif /hard links_count 9");
  // In pieces, as debugfs gives up when the tree's own blocks find no place.
  uint64_t at = 1000;
  for (uint32_t piece = image.superblock().s_free_blocks_count; piece > 0 && image.superblock().s_free_blocks_count > 0;
       at += 1000) {
    piece = std::min(piece, image.superblock().s_free_blocks_count);
    image.debugfs(fmt::format("fallocate /other {} {}", at, at + piece - 1));
    piece = (piece + 1) / 2;
    if (at > 200'000) break;
  }
  REQUIRE(image.superblock().s_free_blocks_count == 0);
  const RepairPlan plan = mend(image, RepairPolicy::all);
  INFO(image.superblock().s_free_blocks_count << " free\n"
                                              << describe(plan.before.findings) << "after:\n"
                                              << describe(plan.after.findings));
  CHECK_FALSE(plan.proven_clean);
  CHECK(std::ranges::any_of(plan.after.findings, [&](const Finding& f) {
    return f.problem == Problem::inode_unattached && f.inode == InodeNo(inode);
  }));
  CHECK(plan.losses.empty());
  // The rest is mended all the same.
  CHECK(std::ranges::none_of(plan.after.findings, [](const Finding& f) { return f.problem == Problem::inode_links; }));
}

TEST_CASE("directory whose mode is all zero keeps its names in a safe repair", "[directory][repair]") {
  const TestImage image("ext4-1k");
  const std::set<std::string> names = names_in(image, "/dir"), found = names_in(image, "/lost+found");
  image.debugfs("sif /dir mode 0");
  const RepairPlan plan = mend(image, RepairPolicy::safe);
  INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  CHECK(plan.losses.empty());
  CHECK(image.e2fsck() == 0);
  CHECK(names_in(image, "/dir") == names);
  CHECK(names_in(image, "/lost+found") == found);
}

TEST_CASE("what was in a directory that waits for a lossy repair stays where it is in a safe one", "[directory][repair]") {
  const TestImage image("ext4-1k");
  const std::set<std::string> names = names_in(image, "/dir"), found = names_in(image, "/lost+found");
  const uint64_t dot = image.offset(image.block_of("/dir"));
  const auto self = image.peek<uint32_t>(dot);
  image.debugfs("sif /dir mode 0");
  image.poke<uint32_t>(dot, self + 1);  // so nothing proves it
  const RepairPlan plan = mend(image, RepairPolicy::safe);
  INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK_FALSE(plan.proven_clean);
  CHECK(plan.losses.empty());
  CHECK(names_in(image, "/lost+found") == found);
  image.poke<uint32_t>(dot, self);
  CHECK(mend(image, RepairPolicy::safe).proven_clean);
  CHECK(names_in(image, "/dir") == names);
}

TEST_CASE("safe repair keeps the bitmaps and counts that tell of inodes which are gone", "[bitmap][repair]") {
  const TestImage image("ext4-1k");
  image.debugfs("clri /three");
  const uint32_t free_inodes = image.superblock().s_free_inodes_count;
  const RepairPlan safe = mend(image, RepairPolicy::safe);
  const auto gone = [](const Finding& f) { return f.problem == Problem::inodes_lost; };
  CHECK_FALSE(safe.proven_clean);
  CHECK(std::ranges::any_of(safe.after.findings, gone));
  CHECK(image.superblock().s_free_inodes_count == free_inodes);
  const RepairPlan all = mend(image, RepairPolicy::all);
  INFO("after:\n" << describe(all.after.findings));
  CHECK(all.proven_clean);
  CHECK(std::ranges::any_of(all.losses, [](const Loss& l) { return l.problem == Problem::inodes_lost; }));
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("names of inodes that are gone are listed, and become losses: from the blocks that no directory has",
          "[bitmap][repair]") {
  const std::string set = GENERATE("ext4-1k", "ext2-1k");
  const TestImage image(set);
  const std::string inode = fmt::format("'file1' (inode {})", image.inode_of("/dir/file1"));
  const uint64_t directory = image.inode_of("/dir");
  const bool zeroed = GENERATE(false, true);
  if (zeroed) {  // the bitmaps of the group and the begin of its inode table: what the names lie in is free by all that is left
    const uint64_t first = image.block_bitmap(0), table = image.descriptor(0).bg_inode_table;
    for (const uint64_t block : {first, image.inode_bitmap(0)}) image.fill(image.offset(block), image.block_size(), std::byte{0});
    image.fill(image.offset(table), 8ull * image.block_size(), std::byte{0});
  } else {
    for (const char* path : {"/dir/file1", "/dir"}) image.debugfs(fmt::format("clri {}", path));
  }
  const RepairPlan all = mend(image, RepairPolicy::all);
  INFO(set << zeroed << "\n" << describe(all.before.findings) << "after:\n" << describe(all.after.findings));
  CHECK(std::ranges::any_of(all.before.findings, [&](const Finding& f) {
    return f.problem == Problem::names_lost && texts_of(f.evidence).found.find(inode) != std::string::npos &&
           texts_of(f.evidence).found.starts_with(fmt::format("in directory {}: ", directory));
  }));
  CHECK(std::ranges::any_of(
      all.losses, [&](const Loss& l) { return l.problem == Problem::names_lost && l.what.find(inode) != std::string::npos; }));
  CHECK(all.proven_clean);
  CHECK(std::ranges::none_of(all.after.findings, [](const Finding& f) { return f.problem == Problem::names_lost; }));
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("superblock that was asked for beside a sound primary is no finding", "[superblock]") {
  const TestImage image("ext4-1k");
  AuditOptions options;
  options.superblock = 8193;
  const auto look = [&] { return audit(*Image::open(image.path()), nullptr, options).value(); };
  const Audit sound = look();
  INFO(describe(sound.findings));
  CHECK(sound.verdict == Verdict::clean);
  CHECK(sound.info.superblock_block == 8193);
  image.poke<uint16_t>(kSuperblockOffset + offsetof(ext2_super_block, s_magic), 0);
  CHECK(look().verdict == Verdict::damaged);
}

// The change would seal what nobody vouches for.
TEST_CASE("entry too many of a directory in a block whose checksum is wrong is cleared only where losses are allowed",
          "[repair]") {
  const TestImage image("ext4-1k");
  image.debugfs("link /dir/sub /again");
  const uint64_t checksum = image.offset(image.block_of("/")) + image.block_size() - sizeof(uint32_t);
  image.poke<uint32_t>(checksum, image.peek<uint32_t>(checksum) ^ 1);
  const Image opened = *Image::open(image.path());
  {
    const RepairPlan plan = plan_of(opened);
    INFO(describe(plan.after.findings));
    CHECK(std::ranges::count(plan.before.findings, Problem::directory_linked_again, &Finding::problem) == 1);
    CHECK(std::ranges::count(plan.after.findings, Problem::directory_linked_again, &Finding::problem) == 1);
    CHECK_FALSE(plan.overlay->has(BlockNo(image.block_of("/"))));
  }
  check_proven_repair(image, RepairPolicy::all);
}

TEST_CASE("loop of directories stays shut by an entry in a block whose checksum is wrong", "[repair]") {
  const TestImage image("ext4-1k");
  for (const char* request : {"mkdir /upper", "mkdir /upper/lower", "link /upper /upper/lower/up"}) image.debugfs(request);
  const uint64_t block = image.block_of("/upper/lower");
  image.debugfs("unlink /upper");
  const uint64_t checksum = image.offset(block) + image.block_size() - sizeof(uint32_t);
  image.poke<uint32_t>(checksum, image.peek<uint32_t>(checksum) ^ 1);
  {
    const Image opened = *Image::open(image.path());
    const RepairPlan plan = plan_of(opened);
    INFO(describe(plan.after.findings));
    CHECK(std::ranges::count(plan.after.findings, Problem::directory_unconnected, &Finding::problem) == 1);
    CHECK_FALSE(plan.overlay->has(BlockNo(block)));
  }
  check_proven_repair(image, RepairPolicy::all);
}

}  // namespace extscrub::test
