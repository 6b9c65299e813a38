#include "writeback/commit/error_marker.h"

#include <fmt/format.h>

#include <ctime>
#include <exception>

#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "writeback/mark/sidecar.h"

namespace extscrub {

namespace {

ErrorRecord record_of(const WriteFailure& failure) {
  return {failure.error, failure.block.value_or(BlockNo{}).value, function_of(failure.step), 0};
}

}  // namespace

void ErrorMarker::write(const FailureSummary& failures) noexcept {
  try {
    // The final superblock may be on its way to the platter already, valid bit and all: the mark takes the bit out.
    const auto superblock = prepared_.superblock.superblock();
    arm_superblock(superblock);
    apply_error_mark(superblock, {record_of(failures.first), record_of(failures.last), failures.count,
                                  static_cast<uint64_t>(std::time(nullptr))});
    if (!put_mark()) write_beside(failure_of(failures));
  } catch (const std::exception& e) {
    medium_.report().sidecar_error = e.what();
  }
}

// Each part by itself, twice at most: what can be made to say it, says it. True when all of them do.
bool ErrorMarker::put_mark() {
  CommitReport& report = medium_.report();
  // A replay of the journal can put an older superblock over the mark; s_errno survives it.
  bool journal_due = prepared_.replay_due();
  if (journal_due) set_journal_error(prepared_.journal->superblock());
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!report.marked) report.marked = mark(prepared_.superblock);
    if (!journal_due || !mark(*prepared_.journal)) continue;
    journal_due = false;
    report.logged = offers_log;
  }
  return report.marked && !journal_due;
}

bool ErrorMarker::mark(HeldBlock& held) {
  return held.put(medium_, BufferKind::mark) == 0 && medium_.flush() == 0 && held.reads_back(medium_) == 0;
}

void ErrorMarker::write_beside(const Failure& failure) {
  CommitReport& report = medium_.report();
  const auto id = load<FileSystemId>(prepared_.superblock.truth(), offsetof(ext2_super_block, s_uuid));
  const std::filesystem::path& path = prepared_.request.path;
  const std::string text = fmt::format(
      "{}: {}\n{}, so this file says it. Time: {}\n", path.string(), describe(failure),
      report.marked ? "The journal of the image could not be marked as errored" : "The image could not be marked as errored",
      std::time(nullptr));
  const auto sidecar = write_sidecar(path, id, text);
  if (sidecar)
    report.sidecar = *sidecar;
  else
    report.sidecar_error = text_of(sidecar.error());
}

}  // namespace extscrub
