// The commit: staged blocks go to the image so that it never claims to be clean while it is damaged.
//   (lock held by the caller) → before-images compared → undo log written, durable → arm (valid bit cleared, flush)
//   → journal transaction (see below) → blocks, asynchronously, every completion checked → flush → read back, in place
//   a wave after the other → journal superblock → flush → final superblock still without its valid bit → flush → final
//   superblock → flush → read back
// Where the image has a journal with room, all blocks go into one transaction first: log → flush → read back → the
// superblock says that recovery is needed → flush → the journal's superblock says where the log begins → flush. Until
// that last sector is there, the image is as it was; from then on whoever mounts it completes the repair.
// On the first failure: nothing more is submitted, what is in flight is waited for, the image is marked errored.
// The valid bit goes out by itself, so that even half of that write cannot say "clean" over an old half.
// One commit belongs to one caller; inside it runs a queue (io_uring or threads) and an error worker of its own.
#pragma once

#include "writeback/commit/commit_report.h"
#include "writeback/commit/commit_request.h"
#include "writeback/device/image_lock.h"

namespace extscrub {

// `lock`: proof that this run alone works on the image.
[[nodiscard]] CommitReport commit(const CommitRequest& request, const ImageLock& lock);

// commit() on a device and a queue that are there already; tests put in ones that fail.
[[nodiscard]] CommitReport commit_on(const CommitRequest& request, WriteDevice& device, WriteQueue& queue);

}  // namespace extscrub
