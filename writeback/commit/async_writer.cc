#include "writeback/commit/async_writer.h"

#include <cassert>

namespace extscrub {

AsyncWriter::AsyncWriter(WriteQueue& queue, ErrorLatch& latch, uint32_t alignment, size_t capacity)
    : queue_(queue), latch_(latch), alignment_(alignment), slots_(queue.depth()) {
  free_.reserve(slots_.size());
  for (size_t i = slots_.size(); i-- > 0;) {
    slots_[i].buffer = AlignedBuffer(capacity);
    free_.push_back(i);
  }
}

bool AsyncWriter::write(std::span<const WriteJob> jobs, WriteClient& client) {
  jobs_ = jobs;
  client_ = &client;
  size_t next = 0;
  for (;;) {
    // Half of them at a time, so that the queue can hand over many at once.
    const bool room = free_.size() >= (slots_.size() + 1) / 2;
    while (room && next < jobs.size() && !free_.empty() && !latch_.set() && !client.cancelled()) {
      const size_t slot = free_.back();
      free_.pop_back();
      start(slot, next++);
    }
    if (free_.size() == slots_.size()) break;
    if (const auto completion = queue_.reap()) {
      complete(*completion);
    } else {
      fail_all_in_flight(completion.error().code);
    }
  }
  return next == jobs.size() && !latch_.set();
}

void AsyncWriter::start(size_t i, size_t job) {
  Slot& slot = slots_[i];
  assert(jobs_[job].length <= slot.buffer.size());
  slot.job = job;
  slot.progress = {};
  slot.busy = true;
  client_->compose(job, slot.buffer.first(jobs_[job].length));
  submit(i);
}

void AsyncWriter::submit(size_t i) {
  Slot& slot = slots_[i];
  // The rest of a short write is a submission as any other: with the latch set it stays where it is, in memory.
  if (latch_.set()) return release(i, ECANCELED);
  const WriteJob& job = jobs_[slot.job];
  const size_t done = slot.progress.done();
  ++submissions_;
  if (const int error = queue_.submit({job.at + done, slot.buffer.first(job.length).subspan(done), i})) fail(i, error);
}

// The completion path: it latches, and leaves the mark to the error worker.
void AsyncWriter::complete(const Completion& completion) {
  Slot& slot = slots_[completion.tag];
  const uint32_t length = jobs_[slot.job].length;
  if (const int error = slot.progress.take(completion.result, length, alignment_)) return fail(completion.tag, error);
  if (slot.progress.done() == length) return release(completion.tag, 0);
  slot.progress.pause();
  submit(completion.tag);
}

void AsyncWriter::fail(size_t i, int error) {
  latch_.record({error, CommitStep::write, client_->block_at(slots_[i].job, slots_[i].progress.done())});
  release(i, error);
}

void AsyncWriter::release(size_t i, int error) {
  slots_[i].busy = false;
  free_.push_back(i);
  client_->finished(slots_[i].job, error);
}

// The queue itself is broken, and says nothing any more about what it has: all of it counts as not durable.
void AsyncWriter::fail_all_in_flight(int error) {
  for (size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].busy) fail(i, error);
}

}  // namespace extscrub
