// What the fuzz targets work on: small sound images in memory, and inputs that are lists of patches to one of them
// (make_seeds.py says how they lie). An input changes what it names and leaves the rest sound, so that the decoders come
// far; the flag `seal` has the checksums put right that would stop them early. Belongs to one thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "scan/format/ondisk.h"
#include "scan/image/image.h"

namespace extscrub::fuzz {

// Bytes that are read through an Image as a file's are, and changed through memory.
class MemoryImage {
 public:
  explicit MemoryImage(const std::string& path);  // copies the file; `.slots` beside it lists the blocks to patch

  [[nodiscard]] const Image& image() const { return *image_; }
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] const std::vector<uint32_t>& slots() const { return slots_; }
  // Leaves out what lies behind the end.
  void write(uint64_t at, Bytes bytes);
  void restore();  // undoes all writes
  [[nodiscard]] bool same(Bytes copy) const;

 private:
  std::vector<std::byte> sound_;
  MutableBytes bytes_;
  std::unique_ptr<Image> image_;
  std::vector<uint32_t> slots_;
  std::vector<std::pair<uint64_t, uint64_t>> dirty_;  // offset, length
};

enum Flag : uint8_t {
  seal = 1,         // superblock, descriptors and log carry the checksums that go with what they hold
  thorough = 2,     // for targets that have more to hold against each other than can be done each time
};

struct PatchHead {
  uint16_t slot, offset;  // where: slot of the image, byte of its block
  uint16_t length;        // of the bytes behind the head; the two upper bits say what is done with them
};

class PatchedImage {
 public:
  explicit PatchedImage(const std::string& target);  // loads the images in OUT/TARGET.images

  // Applies the input to an image that is as it was; false when it is too short to choose one.
  bool apply(const uint8_t* data, size_t size);

  [[nodiscard]] const Image& image() const { return at_->image(); }
  [[nodiscard]] Bytes bytes() const { return at_->bytes(); }
  [[nodiscard]] bool same(Bytes copy) const { return at_->same(copy); }
  [[nodiscard]] bool is(Flag flag) const { return flags_ & flag; }

 private:
  [[nodiscard]] uint64_t place(uint16_t slot, uint16_t offset) const;  // byte of the image
  void apply_patch(const PatchHead& head, Bytes patch);

  std::vector<std::unique_ptr<MemoryImage>> images_;
  MemoryImage* at_ = nullptr;
  uint8_t flags_ = 0;
};

// Ends the run as a finding when what must hold does not.
void require(bool holds, const char* what);

// Adds a patch of a small number, or of bytes from elsewhere in the image, to an input; 0 when it has no room. What the
// patches do not name stays sound, so this finds more than bytes that are changed anywhere. For LLVMFuzzerCustomMutator.
[[nodiscard]] size_t add_patch(uint8_t* data, size_t size, size_t most, unsigned seed);

// Asks for every byte, so that the address sanitizer sees what a decoder hands out.
void touch(Bytes bytes);

}  // namespace extscrub::fuzz
