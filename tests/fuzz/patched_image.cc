#include "tests/fuzz/patched_image.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/fuzz/seal.h"

namespace extscrub::fuzz {

namespace {

constexpr uint64_t kBlock = 1024;  // of all images

std::ifstream open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  require(file.good(), path.c_str());
  return file;
}

}  // namespace

MemoryImage::MemoryImage(const std::string& path) {
  auto file = open(path + ".img");
  const std::vector<char> all(std::istreambuf_iterator<char>(file), {});
  const Bytes sound = std::as_bytes(std::span(all));
  sound_.assign(sound.begin(), sound.end());
  auto list = open(path + ".slots");
  slots_.assign(std::istream_iterator<uint32_t>(list), {});
  require(!slots_.empty(), "an image without slots");

  const int fd = ::memfd_create("image", MFD_CLOEXEC);
  require(fd >= 0 && ::ftruncate(fd, static_cast<off_t>(sound_.size())) == 0, "memfd");
  void* memory = ::mmap(nullptr, sound_.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  require(memory != MAP_FAILED, "mmap");
  bytes_ = {static_cast<std::byte*>(memory), sound_.size()};
  std::memcpy(bytes_.data(), sound_.data(), sound_.size());
  auto image = Image::open("/proc/self/fd/" + std::to_string(fd));
  require(image.has_value(), "the image in memory");
  image_ = std::make_unique<Image>(std::move(*image));
}

void MemoryImage::write(uint64_t at, Bytes bytes) {
  if (at >= bytes_.size()) return;
  const size_t n = std::min(bytes.size(), bytes_.size() - at);
  if (n == 0) return;
  std::memcpy(bytes_.data() + at, bytes.data(), n);
  dirty_.emplace_back(at, n);
}

void MemoryImage::restore() {
  for (const auto& [at, length] : dirty_) std::memcpy(bytes_.data() + at, sound_.data() + at, length);
  dirty_.clear();
}

PatchedImage::PatchedImage(const std::string& target) {
  const std::string seeds = EXTSCRUB_FUZZ_SEEDS;
  auto list = open(seeds + "/" + target + ".images");
  for (std::string name; list >> name;) images_.push_back(std::make_unique<MemoryImage>(seeds + "/images/" + name));
  require(!images_.empty(), "a target without images");
}

bool PatchedImage::apply(const uint8_t* data, size_t size) {
  if (size < 2) return false;
  if (at_) at_->restore();
  at_ = images_[data[0] % images_.size()].get();
  flags_ = data[1];
  Bytes rest = std::as_bytes(std::span(data, size)).subspan(2);
  struct Head {
    uint16_t slot, offset, length;
  };
  while (rest.size() > sizeof(Head)) {
    const auto head = load<Head>(rest);
    rest = rest.subspan(sizeof head);
    const Bytes patch = rest.first(std::min<size_t>(head.length, rest.size()));
    rest = rest.subspan(patch.size());
    at_->write(at_->slots()[head.slot % at_->slots().size()] * kBlock + head.offset % kBlock, patch);
  }
  if (is(seal)) seal_image(*at_);
  return true;
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void touch(Bytes bytes) {
  volatile std::byte sum{};
  for (const std::byte b : bytes) sum = sum ^ b;
}

}  // namespace extscrub::fuzz
