#include "tests/tables/pointer_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace extscrub::test {

namespace {

// Requests of debugfs that make the tree, and the files that they copy from.
class Maker {
 public:
  explicit Maker(bool extents, uint32_t block_size) : extents_(extents), block_size_(block_size) {}

  void fill() {
    directory("/home", kUser, 040700);
    directory("/other", kOther, 040700);
    directory("/hidden", 0, 040700);
    for (int i = 0; i < 3; ++i) file(fmt::format("/hidden/{}{}", mark_of(0), i), 0, 0600, {0});
    file("/home/user", kUser, 0600, user_blocks());
    if (extents_) file("/home/mid", kUser, 0600, every_second(10));
    if (extents_) file("/home/deep", kUser, 0600, every_second(kDeep));
    file("/home/short", kUser, 0600, {0});
    file("/other/data", kOther, 0600, every_second(30));
    file("/secret", 0, 0600, every_second(30));
    file("/secret-short", 0, 0600, {0});
    file("/home/acl", kUser, 0600, {0, 1, 2});
    attribute("/home/acl", kUser);
    attribute("/secret", 0);
    file("/uninvolved", 0, 0644, every_second(20));
    link("/home/link");
    directory("/home/sub", kUser, 040700);
    file("/home/sub/inner", kUser, 0600, {0, 1});
    directory("/home/dir", kUser, 040700);
    for (int i = 0; i < kNames; ++i) file(fmt::format("/home/dir/{}{:030}", mark_of(kUser), i), kUser, 0600, {});
    file("/home/gone", kUser, 0600, {0, 1, 2});
  }

  void value_inode() {
    const auto path = (sources_.path() / "value").string();
    std::ofstream file(path);
    for (int i = 0; i < 300; ++i) file << mark_of(kUser);
    file.close();
    this->file("/home/value", kUser, 0600, {0});
    requests_ += fmt::format("ea_set -f {} /home/value user.large\n", path);
  }

  void run(const TestImage& image) {
    const auto path = sources_.path() / "requests";
    std::ofstream(path) << requests_;
    const std::string said = run_or_throw({"debugfs", "-w", "-f", path, image.path()});
    (void)said;
  }

 private:
  static constexpr uint64_t kDeep = 345;  // more leaves than four entries of the inode's lead to
  static constexpr int kNames = 60;

  static std::vector<uint64_t> every_second(uint64_t count) {
    std::vector<uint64_t> blocks;
    for (uint64_t i = 0; i < count; ++i) blocks.push_back(2 * i);
    return blocks;
  }
  std::vector<uint64_t> user_blocks() const {
    std::vector<uint64_t> blocks;
    for (uint64_t i = 0; i < 20; ++i) blocks.push_back(i);
    const uint64_t per = block_size_ / 4;
    if (!extents_) blocks.insert(blocks.end(), {12 + per + 5, 12 + per + per + 1, 12 + per + per * per + 3});
    return blocks;
  }

  void own(const std::string& path, uint32_t uid, uint32_t mode) {
    requests_ += fmt::format("sif \"{0}\" uid {1}\nsif \"{0}\" gid {1}\nsif \"{0}\" mode 0{2:o}\n", path, uid, mode);
  }
  void directory(const std::string& path, uint32_t uid, uint32_t mode) {
    requests_ += fmt::format("mkdir \"{}\"\n", path);
    own(path, uid, mode);
  }
  void file(const std::string& path, uint32_t uid, uint32_t mode, const std::vector<uint64_t>& blocks) {
    const auto source = sources_.path() / fmt::format("{}", count_++);
    std::ofstream out(source, std::ios::binary);
    for (const uint64_t block : blocks) {
      std::string text;
      while (text.size() < block_size_) text += fmt::format("{}{} {}; ", mark_of(uid), path, block);
      text.resize(block_size_ - (block == blocks.back() ? 100 : 0));
      out.seekp(static_cast<std::streamoff>(block * block_size_));
      out << text;
    }
    out.close();
    requests_ += fmt::format("write {} \"{}\"\n", source.string(), path);
    own(path, uid, 0100000 | mode);
  }
  void link(const std::string& path) {
    std::string target = mark_of(kUser);
    while (target.size() < 100) target += "target/";
    requests_ += fmt::format("symlink \"{}\" \"{}\"\n", path, target);
    own(path, kUser, 0120777);
  }
  // Too long for the inode.
  void attribute(const std::string& path, uint32_t uid) {
    std::string value;
    while (value.size() < 400) value += mark_of(uid);
    requests_ += fmt::format("ea_set \"{}\" user.note \"{}\"\n", path, value);
  }

  bool extents_;
  uint32_t block_size_;
  TempDir sources_;
  std::string requests_;
  int count_ = 0;
};

// What has no name and waits for its release.
void make_orphan(const TestImage& image) {
  const uint32_t ino = image.inode_of("/home/gone");
  image.debugfs("unlink /home/gone");
  image.debugfs(fmt::format("sif <{}> links_count 0", ino));
  image.debugfs(fmt::format("ssv last_orphan {}", ino));
}

}  // namespace

uint32_t PointerImage::block(uint32_t inode, int64_t logical, size_t nth) const {
  for (const auto& [block, use] : uses)
    if (use.inode == inode &&
        (use.logical == logical || (logical < 0 && logical != kAttributes && use.logical < 0 && use.logical != kAttributes)) &&
        nth-- == 0)
      return static_cast<uint32_t>(block);
  return 0;
}

uint32_t PointerImage::free_block(uint32_t after) const {
  const ext2_super_block super = image.superblock();
  std::vector<std::byte> bitmap(image.block_size());
  const uint32_t ratio =
      super.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_BIGALLOC ? 1u << (super.s_log_cluster_size - super.s_log_block_size) : 1;
  for (uint32_t block = after;; block += ratio) {
    const uint32_t group = (block - super.s_first_data_block) / super.s_blocks_per_group;
    image.read(image.offset(image.block_bitmap(group)), bitmap);
    if (!test_bit(bitmap, (block - super.s_first_data_block) % super.s_blocks_per_group / ratio) && !uses.contains(block))
      return block;
  }
}

PointerImage make_pointer_image(const std::string& name, const std::vector<std::string>& options, const std::string& size) {
  TestImage image(options, size);
  const ext2_super_block super = image.superblock();
  Maker maker(super.s_feature_incompat & EXT3_FEATURE_INCOMPAT_EXTENTS, image.block_size());
  maker.fill();
  if (super.s_feature_incompat & EXT4_FEATURE_INCOMPAT_EA_INODE) maker.value_inode();
  maker.run(image);
  const Outcome indexed = extscrub::test::run({"e2fsck", "-fyD", image.path()});
  if (indexed.status > 1) throw std::runtime_error(indexed.output);
  if (image.e2fsck() != 0) throw std::runtime_error(image.e2fsck_report().output);
  make_orphan(image);
  PointerImage result{name, image, take_snapshot(image.path()), uses_of_blocks(image.path())};
  if (!result.before.error.empty() || !result.before.leaks.empty())
    throw std::runtime_error(result.before.error + fmt::format("{}", fmt::join(result.before.leaks, "\n")));
  return result;
}

}  // namespace extscrub::test
