// What a commit is asked for. Plain values, which outlive it; for one thread.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "scan/image/overlay.h"
#include "scan/image/progress.h"
#include "scan/image/write_wave.h"
#include "scan/journal/journal_space.h"
#include "writeback/commit/waiting.h"
#include "writeback/device/mmp_guard.h"
#include "writeback/device/write_queue.h"
#include "writeback/undo_log/undo_file.h"

namespace extscrub {

enum class CommitWay : uint8_t {
  automatic,  // through the journal where that can be
  journal,    // refused where it cannot
  direct,
};

struct CommitRequest {
  std::filesystem::path path;
  uint64_t offset = 0;              // bytes from the start of the file to the file system
  uint32_t block_size = 0;          // bytes
  std::vector<StagedBlock> blocks;  // ascending by block number; may include the primary superblock's block
  std::vector<WriteWave> waves;     // of each of them, for a commit in place; empty: the order does not matter
  std::array<std::byte, kSuperblockSize> final_superblock{};  // sealed; what byte 1024 holds when all is done
  // The block with the journal's superblock, where the journal is inside the image. Needed when the image has RECOVER
  // set: a replay of the old journal over a half written repair would put an old superblock, valid bit and all, over
  // the armed one, so the journal is given an error (s_errno) that survives it. Its staged bytes go out last but one.
  std::optional<BlockNo> journal_superblock;
  CommitWay way = CommitWay::automatic;
  std::optional<JournalSpace> journal;  // the room in that journal; nothing: nobody has looked
  // Where the old bytes of all that the commit may write are put, before the first write. Nothing: nowhere.
  std::optional<UndoPlace> undo;
  // What the journal still holds must not be put over the blocks: it is emptied when the image is armed.
  bool drops_log = false;
  QueueKind queue = QueueKind::automatic;
  Progress* progress = nullptr;   // may be null; cancelled() is asked before each submission
  WaitObserver* waits = nullptr;  // may be null
  // Where the bytes of the image are, when that is not `path`, as for a virtual disk; messages and the sidecar keep to
  // `path`. Empty: there.
  std::filesystem::path opened = {};
  // What was audited: the file, how many bytes it had, and its primary superblock as it was read. Another one, or
  // another size, is refused. Nothing: nobody has kept it.
  std::optional<FileIdentity> file = {};
  std::optional<uint64_t> file_size = {};
  std::optional<std::array<std::byte, kSuperblockSize>> audited_superblock = {};
  // The block of multiple-mount protection, which says from before the first other write until behind the last one that
  // the file system is being checked. Nothing: there is none, or none to go by.
  std::optional<MmpClaim> mmp = {};

  [[nodiscard]] bool cancelled() const { return progress != nullptr && progress->cancelled(); }
};

// The block that has the primary superblock in it, and where in it that is.
[[nodiscard]] inline BlockNo superblock_block(const CommitRequest& request) {
  return BlockNo(kSuperblockOffset / request.block_size);
}
[[nodiscard]] inline size_t superblock_inside(const CommitRequest& request) { return kSuperblockOffset % request.block_size; }

// Which way a commit goes.
struct WayChoice {
  bool journal = false;
  std::string why_direct;    // in words; empty with `journal`
  std::vector<BlockNo> log;  // the blocks of the log that a transaction is going to take
};

// The way that a commit of this request would go. Reads nothing.
[[nodiscard]] WayChoice choose_way(const CommitRequest& request);

}  // namespace extscrub
