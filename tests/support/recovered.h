// An image as the next mount would find it, in memory; and the formats that a log can have. Belongs to one thread.
#pragma once

#include <algorithm>
#include <optional>

#include "audit/recover/recovery.h"
#include "scan/load/load_file_system.h"
#include "tests/support/catch.h"
#include "tests/support/journal_log.h"

namespace extscrub::test {

// Every format of a log.
inline const std::vector<LogFormat>& log_formats() {
  using namespace jbd2;
  static const std::vector<LogFormat> formats = {
      {.version = 1},
      {},
      {.incompat = kIncompatRevoke},
      {.incompat = kIncompatRevoke | kIncompat64Bit},
      {.compat = kCompatChecksum, .incompat = kIncompatRevoke},
      {.compat = kCompatChecksum, .incompat = kIncompatRevoke | kIncompat64Bit | kIncompatAsyncCommit},
      {.incompat = kIncompatRevoke | kIncompatCsumV2},
      {.incompat = kIncompatRevoke | kIncompatCsumV2 | kIncompat64Bit},
      {.incompat = kIncompatRevoke | kIncompatCsumV3},
      {.incompat = kIncompatRevoke | kIncompatCsumV3 | kIncompat64Bit},
      {.incompat = kIncompatRevoke | kIncompatCsumV3 | kIncompat64Bit | kIncompatAsyncCommit},
      {.incompat = kIncompatRevoke | kIncompatCsumV3, .sequence = 0xFFFFFFFF},  // the number wraps around
  };
  return formats;
}

// An image under an overlay, recovered.
struct Recovered {
  explicit Recovered(const TestImage& test, const Image* device = nullptr)
      : image(*Image::open(test.path())), fs(*load_superblock(image, nullptr, {})) {
    overlay.emplace(image, fs.geometry.block_size);
    fs.blocks = &*overlay;
    load_descriptors(fs);
    auto r = recover(fs, *overlay, {.device = device});
    REQUIRE(r);
    recovery = std::move(*r);
  }

  [[nodiscard]] std::vector<std::byte> block(uint64_t number) const {
    std::vector<std::byte> bytes(fs.geometry.block_size);
    REQUIRE(overlay->read(BlockNo(number), bytes));
    return bytes;
  }
  [[nodiscard]] bool has(JournalDefectKind kind) const {
    return std::ranges::count(recovery.journal.defects, kind, &JournalDefect::kind) > 0;
  }

  Image image;
  FileSystem fs;
  std::optional<Overlay> overlay;
  Recovery recovery;
};

}  // namespace extscrub::test
