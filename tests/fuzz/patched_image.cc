#include "tests/fuzz/patched_image.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/seal.h"

namespace extscrub::fuzz {

namespace {

constexpr uint64_t kBlock = 1024;  // of all images
constexpr uint16_t kLengthMask = 0x3FFF, kAdd = 0x4000, kCopy = 0x8000;  // PatchHead::length

std::ifstream open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  require(file.good(), path.c_str());
  return file;
}

}  // namespace

MemoryImage::MemoryImage(const std::string& path) {
  auto file = open(path + ".img");
  sound_.resize(std::filesystem::file_size(path + ".img"));
  require(file.read(reinterpret_cast<char*>(sound_.data()), static_cast<std::streamsize>(sound_.size())).good(), "reading");
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

bool MemoryImage::same(Bytes copy) const { return std::memcmp(copy.data(), bytes_.data(), bytes_.size()) == 0; }

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
  while (rest.size() > sizeof(PatchHead)) {
    const auto head = load<PatchHead>(rest);
    rest = rest.subspan(sizeof head);
    const Bytes patch = rest.first(std::min<size_t>(head.length & kLengthMask, rest.size()));
    rest = rest.subspan(patch.size());
    apply_patch(head, patch);
  }
  if (is(seal)) seal_image(*at_);
  return true;
}

uint64_t PatchedImage::place(uint16_t slot, uint16_t offset) const {
  return at_->slots()[slot % at_->slots().size()] * kBlock + offset % kBlock;
}

void PatchedImage::apply_patch(const PatchHead& head, Bytes patch) {
  const uint64_t at = place(head.slot, head.offset);
  switch (head.length & ~kLengthMask) {
    case kAdd: {  // to the number of four bytes that is there
      uint32_t number = 0;
      std::memcpy(&number, patch.data(), std::min(patch.size(), sizeof number));
      if (at + sizeof number <= bytes().size()) number += load<uint32_t>(bytes(), at);
      return at_->write(at, bytes_of(number).first(std::min(patch.size(), sizeof number)));
    }
    case kCopy: {  // from another place
      if (patch.size() < sizeof(PatchHead)) return;
      const auto from = load<PatchHead>(patch);
      const uint64_t begin = std::min<uint64_t>(place(from.slot, from.offset), bytes().size());
      const Bytes source = bytes().subspan(begin, std::min<uint64_t>(from.length & kLengthMask, bytes().size() - begin));
      return at_->write(at, std::vector<std::byte>(source.begin(), source.end()));
    }
    default: return at_->write(at, patch);
  }
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

size_t add_patch(uint8_t* data, size_t size, size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  constexpr uint32_t kNumbers[] = {0,      1,      2,       3,          4,          8,          11,         12,
                                   0x7F,   0xFF,   0x100,   0x3FC,      0x3FF,      0x400,      0x7FFF,     0x8000,
                                   0x8001, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF};
  std::byte patch[2 * sizeof(PatchHead)];
  const size_t width = 1u << random() % 3;
  PatchHead head{static_cast<uint16_t>(random() % 256), static_cast<uint16_t>(random() % kBlock), static_cast<uint16_t>(width)};
  // Where structures begin, and in the small ones there, is more to be found than anywhere.
  if (random() % 3 == 0) head.offset %= 128;
  head.offset &= static_cast<uint16_t>(~(width - 1));
  uint32_t number = kNumbers[random() % std::size(kNumbers)];
  switch (random() % 5) {
    case 0: number = static_cast<uint32_t>(random()); break;
    case 1: number = static_cast<uint32_t>(random() % 1024); break;
    case 2:
      head.length |= kAdd;
      number = static_cast<uint32_t>(random() % 17) - 8;
      break;
    case 3:
      head.length |= kAdd;
      number = 1u << random() % 32;
      break;
    default: break;
  }
  if (random() % 4 == 0) number = __builtin_bswap32(number) >> (32 - 8 * width);  // as in the log
  store(patch, sizeof head, number);
  size_t length = sizeof head + width;
  if (random() % 8 == 0) {
    head.length = kCopy | sizeof head;
    const size_t unit = 4u << random() % 9;
    store(patch, sizeof head,
          PatchHead{static_cast<uint16_t>(random() % 256), static_cast<uint16_t>(random() % kBlock / unit * unit),
                    static_cast<uint16_t>(unit)});
    head.offset = static_cast<uint16_t>(head.offset / unit * unit);
    length = 2 * sizeof head;
  }
  store(patch, 0, head);
  if (size < 2 || size + length > most) return 0;
  std::memcpy(data + size, patch, length);
  return size + length;
}

void touch(Bytes bytes) {
  uint64_t sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<uint64_t>(b);
  static volatile uint64_t sink;
  sink = sink + sum;
}

}  // namespace extscrub::fuzz

// Every other mutation is a patch more; the rest is libFuzzer's own.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  if (seed % 2)
    if (const size_t longer = extscrub::fuzz::add_patch(data, size, most, seed)) return longer;
  return LLVMFuzzerMutate(data, size, most);
}
