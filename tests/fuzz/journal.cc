// The replay of the log with its fast commits, and the release of orphans, over a patched image.
#include "audit/recover/recovery.h"
#include "scan/load/load_file_system.h"
#include "tests/fuzz/patched_image.h"

namespace extscrub::fuzz {

namespace {

void fuzz(const PatchedImage& subject) {
  auto fs = load_superblock(subject.image(), nullptr, {});
  if (!fs) return;
  Overlay overlay(subject.image(), fs->geometry.block_size);
  fs->blocks = &overlay;
  load_descriptors(*fs);
  const auto recovery = recover(*fs, overlay, {});
  if (!recovery) return;
  for (const StagedBlock& staged : overlay.staged()) {
    require(staged.block.value * fs->geometry.block_size < subject.image().size(), "a staged block inside the image");
    touch(staged.after);
  }
  if (!recovery->replayed || !recovery->journal.whole || !fs->primary_problem.empty()) return;
  auto replayed = load_superblock(subject.image(), &overlay, {});
  if (!replayed) return;
  require(!replayed->geometry.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER), "no recovery behind a recovery");
}

}  // namespace

}  // namespace extscrub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static extscrub::fuzz::PatchedImage subject("journal");
  if (subject.apply(data, size)) extscrub::fuzz::fuzz(subject);
  return 0;
}
