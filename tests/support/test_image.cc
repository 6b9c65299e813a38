#include "tests/support/test_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace extscrub::test {

namespace {

const std::string kSupport = EXTSCRUB_SOURCE_DIR "/tests/support/";

class File {
 public:
  File(const std::filesystem::path& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (fd_ < 0) throw std::runtime_error("cannot open " + path.string());
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// Holes stay holes. In this process: hundreds of images are copied.
void clone_image(const std::filesystem::path& from, const std::filesystem::path& to) {
  const File in(from, O_RDONLY), out(to, O_WRONLY | O_CREAT | O_TRUNC);
  const off_t size = lseek(in.fd(), 0, SEEK_END);
  if (size < 0 || ftruncate(out.fd(), size) < 0) throw std::runtime_error("cannot copy " + from.string());
  off_t at = 0;
  while ((at = lseek(in.fd(), at, SEEK_DATA)) >= 0) {
    const off_t end = lseek(in.fd(), at, SEEK_HOLE);
    for (off_t to_at = at; at < end;)
      if (copy_file_range(in.fd(), &at, out.fd(), &to_at, static_cast<size_t>(end - at), 0) <= 0)
        throw std::runtime_error("cannot copy " + from.string());
  }
}

// Sound images of this process, by feature set. The tree is made once too.
const std::filesystem::path& sound_image(std::string_view feature_set) {
  static const TempDir directory;
  static std::map<std::string, std::filesystem::path, std::less<>> images;
  auto it = images.find(feature_set);
  if (it == images.end()) {
    const std::filesystem::path tree = directory.path() / "tree";
    if (!std::filesystem::exists(tree)) {
      std::filesystem::create_directory(tree);
      run_or_throw({kSupport + "make_tree.py", tree});
    }
    const std::filesystem::path image = directory.path() / fmt::format("{}.img", feature_set);
    run_or_throw({kSupport + "make_image.sh", std::string(feature_set), image, tree});
    it = images.emplace(feature_set, image).first;
  }
  return it->second;
}

std::string first_match(const std::string& text, const char* pattern) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(pattern))) throw std::runtime_error(fmt::format("no {} in: {}", pattern, text));
  return match[1];
}

}  // namespace

const std::vector<std::string>& feature_sets() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    std::ifstream file(kSupport + "feature_sets.txt");
    for (std::string line; std::getline(file, line);) {
      if (line.empty() || line.front() == '#') continue;
      std::istringstream(line) >> result.emplace_back();
    }
    return result;
  }();
  return names;
}

TestImage::TestImage(std::string_view feature_set)
    : directory_(std::make_shared<TempDir>()), path_(directory_->path() / "image") {
  clone_image(sound_image(feature_set), path_);
}

TestImage::TestImage(const std::vector<std::string>& mke2fs_options, std::string_view size, const std::filesystem::path& tree)
    : directory_(std::make_shared<TempDir>()), path_(directory_->path() / "image") {
  std::vector<std::string> command = {"mke2fs", "-q", "-F"};
  command.insert(command.end(), mke2fs_options.begin(), mke2fs_options.end());
  if (!tree.empty()) command.insert(command.end(), {"-d", tree});
  command.insert(command.end(), {path_, std::string(size)});
  run_or_throw(command);
}

TestImage TestImage::copy() const {
  TestImage result;
  result.directory_ = std::make_shared<TempDir>();
  result.path_ = result.directory_->path() / "image";
  clone_image(path_, result.path_);
  return result;
}

std::string TestImage::debugfs(const std::string& request, bool ignore_checksums) const {
  std::vector<std::string> command = {"debugfs", "-w", "-R", request, path_};
  if (ignore_checksums) command.insert(command.begin() + 1, "-n");
  std::string output = run_or_throw(command);
  if (output.starts_with("debugfs ")) output.erase(0, output.find('\n') + 1);
  return output;
}

Outcome TestImage::e2fsck_report() const { return run({"e2fsck", "-fn", path_}); }

int TestImage::e2fsck() const { return e2fsck_report().status; }

std::string TestImage::dumpe2fs(const std::string& options) const { return run_or_throw({"dumpe2fs", options, path_}); }

uint64_t TestImage::fingerprint() const {
  constexpr uint64_t kPrime = 0x100000001b3;
  const File file(path_, O_RDONLY);
  std::vector<uint64_t> words(8192);
  const auto length = static_cast<ssize_t>(words.size() * sizeof(uint64_t));
  uint64_t hash = 0xcbf29ce484222325 ^ size();
  off_t at = 0;
  while ((at = lseek(file.fd(), at, SEEK_DATA)) >= 0) {
    at -= at % length;
    std::ranges::fill(words, 0);
    if (pread(file.fd(), words.data(), length, at) <= 0) break;
    for (size_t i = 0; i < words.size(); ++i)
      if (words[i] != 0) hash = (hash ^ words[i] ^ (static_cast<uint64_t>(at) + i) * kPrime) * kPrime;
    at += length;
  }
  return hash;
}

void TestImage::read(uint64_t at, MutableBytes out) const {
  const File file(path_, O_RDONLY);
  if (pread(file.fd(), out.data(), out.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(out.size()))
    throw std::runtime_error(fmt::format("cannot read {} bytes at {}", out.size(), at));
}

void TestImage::write(uint64_t at, Bytes bytes) const {
  const File file(path_, O_WRONLY);
  if (pwrite(file.fd(), bytes.data(), bytes.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error(fmt::format("cannot write {} bytes at {}", bytes.size(), at));
}

void TestImage::fill(uint64_t at, uint64_t length, std::byte value) const { write(at, std::vector<std::byte>(length, value)); }

uint64_t TestImage::descriptor_offset(uint32_t group) const {
  const ext2_super_block super = superblock();
  const bool wide = super.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT;
  // Not s_first_data_block + 1: with bigalloc and blocks of 1 KiB that field is 0, and the superblock in block 1.
  return offset(kSuperblockOffset / block_size() + 1) + uint64_t{group} * (wide ? super.s_desc_size : EXT2_MIN_DESC_SIZE);
}

ext4_group_desc TestImage::descriptor(uint32_t group) const {
  auto desc = peek<ext4_group_desc>(descriptor_offset(group));
  if (!(superblock().s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT))
    std::fill_n(reinterpret_cast<std::byte*>(&desc) + EXT2_MIN_DESC_SIZE, sizeof desc - EXT2_MIN_DESC_SIZE, std::byte{0});
  return desc;
}

// No image here has 2^32 blocks, so the low halves of block numbers are the numbers.
uint64_t TestImage::block_bitmap(uint32_t group) const { return descriptor(group).bg_block_bitmap; }
uint64_t TestImage::inode_bitmap(uint32_t group) const { return descriptor(group).bg_inode_bitmap; }

uint64_t TestImage::inode_offset(uint32_t inode) const {
  const ext2_super_block super = superblock();
  const uint32_t group = (inode - 1) / super.s_inodes_per_group;
  return offset(descriptor(group).bg_inode_table) + uint64_t{(inode - 1) % super.s_inodes_per_group} * super.s_inode_size;
}

uint64_t TestImage::map_offset(uint32_t inode) const { return inode_offset(inode) + offsetof(ext2_inode, i_block); }

uint32_t TestImage::inode_of(const std::string& path) const {
  return std::stoul(first_match(debugfs("stat " + path), R"(Inode: *(\d+))"));
}

uint64_t TestImage::block_of(const std::string& path, uint64_t logical) const {
  return std::stoull(first_match(debugfs(fmt::format("bmap {} {}", path, logical)), R"(^(\d+))"));
}

}  // namespace extscrub::test
