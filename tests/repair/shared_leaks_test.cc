// A block pointer that names somebody else's block: after the repair nobody has what others were kept from.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "scan/format/checksum.h"
#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/support/contents.h"

namespace extscrub::test {

namespace {

constexpr const char* kSecret = "THE SECRET OF ROOT ";

// Root's secret, 20 blocks; a file of user 1000's with as many, a short one of each; a tree of extents; and a directory of
// root's whose names are not for everyone. The user's are the ones with the lower inode numbers where `first` says so.
TestImage make_two_users(const std::vector<std::string>& options, bool user_first) {
  const TempDir tree;
  const auto write = [&](const char* name, size_t size, const std::string& text) {
    std::ofstream file(tree.path() / name, std::ios::binary);
    for (size_t at = 0; at < size; at += text.size())
      file.write(text.data(), static_cast<std::streamsize>(std::min(text.size(), size - at)));
  };
  std::filesystem::create_directory(tree.path() / "hidden");
  for (int i = 0; i < 5; ++i) write(fmt::format("hidden/{}{}", "A HIDDEN NAME ", i).c_str(), 10, "x");
  write("uninvolved", 30000, "nobody's business ");
  const auto users = [&] {
    write("user", 20 * 1024, "what the user wrote ");
    write("user-short", 900, "short ");
  };
  if (user_first) users();
  write("secret", 20 * 1024, kSecret);
  write("secret-short", 900, kSecret);
  if (!user_first) users();
  TestImage image(options, "8M", tree.path());
  // In pieces, so that the map has a leaf of its own.
  for (const char* name : {"/user", "/user-short"})
    for (const char* what : {"uid 1000", "gid 1000", "mode 0100600"}) image.debugfs(fmt::format("sif {} {}", name, what));
  for (const char* name : {"/secret", "/secret-short"})
    for (const char* what : {"uid 0", "gid 0", "mode 0100600"}) image.debugfs(fmt::format("sif {} {}", name, what));
  return image;
}

// The contents of all files that are not root's.
std::string what_users_see(const TestImage& image) {
  std::string all;
  const auto opened = Image::open(image.path());
  auto fs = load_superblock(*opened, nullptr, {});
  REQUIRE(fs);
  const Overlay plain(*opened, fs->geometry.block_size);
  fs->blocks = &plain;
  load_descriptors(*fs);
  std::mutex mutex;
  const auto read = [&](const Inode& inode) {
    if (inode.base().i_uid == 0 || inode.type() != FileType::regular || inode.base().i_links_count == 0) return;
    std::vector<std::byte> bytes(std::min<uint64_t>(inode.size(), 1 << 24));
    const std::lock_guard lock(mutex);
    if (FileReader(*fs, inode).read(0, bytes)) all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  REQUIRE(for_each_used_inode(*fs, nullptr, read));
  return all;
}

struct Pointer {
  const char* name;
  std::function<void(const TestImage&, uint32_t ino, uint32_t target)> set;
};

std::vector<Pointer> kinds_of_pointers(bool extents) {
  const auto in_map = [](size_t offset) {
    return
        [offset](const TestImage& image, uint32_t ino, uint32_t target) { image.poke(image.map_offset(ino) + offset, target); };
  };
  std::vector<Pointer> all;
  if (extents) {
    all.push_back({"extent leaf", in_map(sizeof(ext3_extent_header) + 8)});
    all.push_back({"extent index", [](const TestImage& image, uint32_t ino, uint32_t target) {
                     ext3_extent_header header{EXT3_EXT_MAGIC, 1, 4, 1, 0};
                     ext3_extent_idx index{0, target, 0, 0};
                     image.poke(image.map_offset(ino), header);
                     image.poke(image.map_offset(ino) + sizeof header, index);
                   }});
  } else {
    for (const unsigned at : {0u, 5u, 11u}) all.push_back({"direct", in_map(at * 4)});
    all.push_back({"indirect", in_map(12 * 4)});
    all.push_back({"double indirect", in_map(13 * 4)});
    all.push_back({"in an indirect block", [](const TestImage& image, uint32_t ino, uint32_t target) {
                     const auto at = image.peek<uint32_t>(image.map_offset(ino) + 12 * 4);
                     if (at) image.poke(image.offset(at) + 4 * 3, target);
                   }});
  }
  all.push_back({"i_file_acl", [](const TestImage& image, uint32_t ino, uint32_t target) {
                   image.poke(image.inode_offset(ino) + offsetof(ext2_inode, i_file_acl), target);
                 }});
  return all;
}

// The checksum of the inode, as whoever wrote the wrong pointer would have made it.
void seal_raw_inode(const TestImage& image, uint32_t ino) {
  const auto opened = Image::open(image.path());
  const auto fs = load_superblock(*opened, nullptr, {});
  REQUIRE(fs);
  if (!fs->geometry.metadata_csum()) return;
  std::vector<std::byte> raw(fs->geometry.inode_size);
  image.read(image.inode_offset(ino), raw);
  seal_inode(fs->geometry, InodeNo(ino), raw);
  image.write(image.inode_offset(ino), raw);
}

void check_no_leak(const std::vector<std::string>& options, bool extents, bool sealed) {
  for (const bool user_first : {true, false}) {
    const TestImage sound = make_two_users(options, user_first);
    REQUIRE(sound.e2fsck() == 0);
    const uint32_t root = sound.inode_of("/secret");
    const uint32_t journal_map = sound.superblock().s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL ? 1 : 0;
    std::vector<std::pair<std::string, uint64_t>> targets = {
        {"another's first block", sound.block_of("/secret")},
        {"another's block", sound.block_of("/secret", 7)},
        {"another's last block", sound.block_of("/secret", 19)},
        {"another's only block", sound.block_of("/secret-short")},
        {"a directory", sound.block_of("/hidden")},
        {"the inode table", sound.descriptor(0).bg_inode_table + 1},
        {"a bitmap", sound.block_bitmap(0)},
    };
    if (journal_map) targets.emplace_back("the journal", sound.block_of("<8>", 5));
    if (!extents) targets.emplace_back("another's indirect block", sound.peek<uint32_t>(sound.map_offset(root) + 12 * 4));
    const auto opened_before = Image::open(sound.path());
    const Contents before = contents_of(*opened_before, nullptr);
    for (const char* file : {"/user", "/user-short"})
      for (const Pointer& pointer : kinds_of_pointers(extents))
        for (const auto& [name, target] : targets) {
          const TestImage image = sound.copy();
          const uint32_t ino = image.inode_of(file);
          pointer.set(image, ino, static_cast<uint32_t>(target));
          if (sealed) seal_raw_inode(image, ino);
          const auto opened = Image::open(image.path());
          const RepairPlan plan = plan_of(*opened, RepairPolicy::all);
          apply(image, plan);
          INFO(file << " (inode " << ino << "), " << pointer.name << " at " << name << " (" << target
                    << "), user first: " << user_first << "\n"
                    << describe(plan.before.findings) << "after:\n"
                    << describe(plan.after.findings));
          for (const Loss& l : plan.losses) UNSCOPED_INFO(l.path << " " << l.inode.value << ": " << l.what);
          CHECK(plan.proven_clean);
          CHECK(image.e2fsck() == 0);
          const std::string seen = what_users_see(image);
          CHECK(seen.find(kSecret) == std::string::npos);
          CHECK(seen.find("A HIDDEN NAME") == std::string::npos);
          const auto mended = Image::open(image.path());
          for (const auto& [other, crc] : contents_of(*mended, nullptr))
            if (other != ino && before.contains(other)) {
              INFO("inode " << other);
              CHECK(before.at(other) == crc);
            }
          const bool changed = contents_of(*mended, nullptr)[ino] != before.at(ino);
          if (changed) CHECK(std::ranges::any_of(plan.losses, [&](const Loss& l) { return l.inode == InodeNo(ino); }));
        }
  }
}

}  // namespace

TEST_CASE("pointer of an indirect map at what others must not see", "[leaks][repair]") {
  check_no_leak({"-t", "ext3", "-b", "1024", "-J", "size=1", "-N", "64"}, false, false);
}

TEST_CASE("extent at what others must not see", "[leaks][repair]") {
  check_no_leak({"-t", "ext4", "-b", "1024", "-O", "^metadata_csum", "-J", "size=1", "-N", "64"}, true, false);
}

TEST_CASE("extent of a sealed inode at what others must not see", "[leaks][repair]") {
  check_no_leak({"-t", "ext4", "-b", "1024", "-J", "size=1", "-N", "64"}, true, true);
  check_no_leak({"-t", "ext4", "-b", "1024", "-J", "size=1", "-N", "64"}, true, false);
}

}  // namespace extscrub::test
