// What the write-back's tests share: small images in a temporary directory, and decorators of the device and the queue
// that log every operation and break the ones a rule asks for.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "cli/report/commit_text.h"
#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "tests/support/catch.h"
#include "writeback/commit/commit.h"
#include "writeback/device/aligned_buffer.h"
#include "writeback/device/write_plan.h"
#include "writeback/mark/sidecar.h"

// A namespace of its own: other tests have a TestImage and a TempDir too.
namespace extscrub::test::wb {

class TempDir {
 public:
  explicit TempDir(const std::filesystem::path& under = std::filesystem::temp_directory_path()) {
    std::string name = under / "extscrub-test.XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Calls `end` when it goes, however the test ends.
class AtEnd {
 public:
  explicit AtEnd(std::function<void()> end) : end_(std::move(end)) {}
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;
  ~AtEnd() { end_(); }

 private:
  std::function<void()> end_;
};

inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())));
  return bytes;
}

inline void write_file(const std::filesystem::path& path, Bytes bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(out.flush().good());
}

using Superblock = std::array<std::byte, kSuperblockSize>;

inline Superblock make_superblock(uint32_t block_size, bool checksum = true) {
  Superblock bytes{};
  ext2_super_block sb{};
  sb.s_magic = EXT2_SUPER_MAGIC;
  sb.s_state = 1 | 4;  // valid; a bit that has to stay
  sb.s_errors = 2;
  sb.s_log_block_size = static_cast<uint32_t>(std::countr_zero(block_size)) - 10;
  sb.s_feature_ro_compat = checksum ? 0x400 : 0;
  store(bytes, 0, sb);
  seal_superblock(bytes);
  return bytes;
}

inline ext2_super_block superblock_in(Bytes image, uint64_t offset = 0) {
  return load<ext2_super_block>(image, offset + kSuperblockOffset);
}

struct ImageOptions {
  uint32_t block_size = 4096;
  uint64_t blocks = 64;
  uint64_t offset = 0;   // bytes of something else before the image
  uint64_t tail = 0;     // bytes of one more, cut block
  bool checksum = true;  // metadata_csum
};

// An image with random blocks and a superblock, and a repair of it: the blocks staged by stage().
class TestImage {
 public:
  explicit TestImage(ImageOptions options = {}, const std::filesystem::path& under = std::filesystem::temp_directory_path())
      : options_(options), dir_(under), path_(dir_.path() / "image") {
    original_.resize(options.offset + options.blocks * options.block_size + options.tail);
    for (auto& byte : original_) byte = static_cast<std::byte>(random_());
    put_superblock(make_superblock(options.block_size, options.checksum));
    final_ = make_superblock(options.block_size, options.checksum);
    auto sb = load<ext2_super_block>(final_);
    sb.s_free_blocks_count = 4711;
    store(final_, 0, sb);
    seal_superblock(final_);
  }

  // Changes the image as it is before the commit.
  void put_superblock(const Superblock& superblock) {
    std::ranges::copy(superblock, original_.begin() + static_cast<std::ptrdiff_t>(options_.offset + kSuperblockOffset));
    write_file(path_, original_);
  }
  void put_block(uint64_t block, Bytes bytes) {
    std::ranges::copy(bytes, original_.begin() + static_cast<std::ptrdiff_t>(options_.offset + block * options_.block_size));
    write_file(path_, original_);
  }
  [[nodiscard]] Superblock superblock_before() const { return load<Superblock>(original_, options_.offset + kSuperblockOffset); }

  // Stages new bytes for a block: random ones, but for the superblock's block, whose other bytes change.
  void stage(uint64_t block, std::optional<std::vector<std::byte>> after = std::nullopt) {
    Staged staged{BlockNo(block), padded(block), {}};
    staged.after = staged.before;
    if (after)
      staged.after = *after;
    else
      for (auto& byte : staged.after) byte = static_cast<std::byte>(random_());
    staged_.push_back(std::move(staged));
  }
  void stage(std::initializer_list<uint64_t> blocks) {
    for (const uint64_t block : blocks) stage(block);
  }

  [[nodiscard]] CommitRequest request(QueueKind queue = QueueKind::automatic) const {
    CommitRequest request;
    request.path = path_;
    request.offset = options_.offset;
    request.block_size = options_.block_size;
    for (const Staged& s : staged_) request.blocks.push_back({s.block, s.before, s.after});
    request.final_superblock = final_;
    request.queue = queue;
    return request;
  }

  // What the file is to hold after a good commit.
  [[nodiscard]] std::vector<std::byte> repaired() const {
    auto bytes = original_;
    for (const Staged& s : staged_) {
      const uint64_t at = options_.offset + s.block.value * options_.block_size;
      std::memcpy(bytes.data() + at, s.after.data(), std::min<uint64_t>(s.after.size(), bytes.size() - at));
    }
    std::memcpy(bytes.data() + options_.offset + kSuperblockOffset, final_.data(), final_.size());
    return bytes;
  }

  [[nodiscard]] const std::vector<std::byte>& original() const { return original_; }
  [[nodiscard]] std::vector<std::byte> now() const { return read_file(path_); }
  [[nodiscard]] ext2_super_block superblock_now() const { return superblock_in(now(), options_.offset); }
  [[nodiscard]] bool superblock_is_sealed() const {
    return is_sound_superblock(load<Superblock>(now(), options_.offset + kSuperblockOffset));
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const ImageOptions& options() const { return options_; }
  [[nodiscard]] Superblock& final_superblock() { return final_; }
  [[nodiscard]] Extent extent_of(uint64_t block) const {
    return {options_.offset + block * options_.block_size, options_.block_size};
  }

 private:
  struct Staged {
    BlockNo block;
    std::vector<std::byte> before, after;
  };
  std::vector<std::byte> padded(uint64_t block) const {
    std::vector<std::byte> bytes(options_.block_size);
    const uint64_t at = options_.offset + block * options_.block_size;
    std::memcpy(bytes.data(), original_.data() + at, std::min<uint64_t>(bytes.size(), original_.size() - at));
    return bytes;
  }

  ImageOptions options_;
  TempDir dir_;
  std::filesystem::path path_;
  std::mt19937 random_{42};
  std::vector<std::byte> original_;
  std::vector<Staged> staged_;
  Superblock final_{};
};

enum class Operation { write, read, flush };

struct Event {
  Operation operation = Operation::write;
  uint64_t at = 0, length = 0;
  bool queued = false;  // went through the queue
  size_t index = 0;     // of its operation: the third write has 2
  std::vector<std::byte> data;
  std::thread::id thread;
  [[nodiscard]] bool touches(Extent extent) const { return at < extent.end() && extent.at < at + length; }
};

struct Fault {
  int64_t result = -EIO;  // what the operation returns
  size_t stored = 0;      // bytes that get to the device all the same
};

// Decides which operations break. Called under the log's lock.
using Rule = std::function<std::optional<Fault>(const Event&)>;

class Log {
 public:
  Rule rule;

  std::optional<Fault> add(Event event) {
    const std::lock_guard lock(mutex_);
    event.index = counts_[static_cast<size_t>(event.operation)]++;
    event.thread = std::this_thread::get_id();
    events_.push_back(event);
    auto fault = rule ? rule(event) : std::nullopt;
    if (fault && fault->result < 0) ++failed_;
    return fault;
  }
  [[nodiscard]] const std::vector<Event>& events() const { return events_; }
  [[nodiscard]] size_t count(Operation operation) const { return counts_[static_cast<size_t>(operation)]; }
  [[nodiscard]] size_t failed() const { return failed_; }

 private:
  std::mutex mutex_;
  std::vector<Event> events_;
  std::array<size_t, 3> counts_{};
  size_t failed_ = 0;
};

class FaultyDevice final : public WriteDevice {
 public:
  // `alignment`: the sector size to play, 0 for the real one.
  FaultyDevice(WriteDevice& device, Log& log, uint32_t alignment = 0) : device_(device), log_(log), alignment_(alignment) {}

  uint64_t size() const override { return device_.size(); }
  uint64_t size_now() const override { return device_.size_now(); }
  bool direct() const override { return device_.direct(); }
  bool suits_io_uring() const override { return device_.suits_io_uring(); }
  uint32_t alignment() const override { return std::max(alignment_, device_.alignment()); }
  int descriptor() const override { return device_.descriptor(); }

  ssize_t write(uint64_t at, Bytes bytes) override {
    const auto fault = log_.add({Operation::write, at, bytes.size(), false, 0, {bytes.begin(), bytes.end()}, {}});
    if (!fault) return device_.write(at, bytes);
    if (fault->stored > 0) REQUIRE(write_fully(device_, at, bytes.first(fault->stored)) == 0);
    return fault->result;
  }
  ssize_t read(uint64_t at, MutableBytes out) override {
    const auto fault = log_.add({Operation::read, at, out.size(), false, 0, {}, {}});
    return fault ? fault->result : device_.read(at, out);
  }
  int flush() override {
    const auto fault = log_.add({Operation::flush, 0, 0, false, 0, {}, {}});
    return fault ? static_cast<int>(-fault->result) : device_.flush();
  }

 private:
  WriteDevice& device_;
  Log& log_;
  uint32_t alignment_;
};

// In front of a queue of either kind; what it breaks does not get there.
class FaultyQueue final : public WriteQueue {
 public:
  FaultyQueue(WriteQueue& queue, WriteDevice& device, Log& log) : queue_(queue), device_(device), log_(log) {}

  QueueKind kind() const override { return queue_.kind(); }
  unsigned depth() const override { return queue_.depth(); }
  [[nodiscard]] size_t most_in_flight() const { return most_in_flight_; }

  int submit(const WriteOp& op) override {
    most_in_flight_ = std::max(most_in_flight_, ++in_flight_);
    const auto fault = log_.add({Operation::write, op.at, op.bytes.size(), true, 0, {op.bytes.begin(), op.bytes.end()}, {}});
    if (!fault) return queue_.submit(op);
    if (fault->stored > 0) REQUIRE(write_fully(device_, op.at, op.bytes.first(fault->stored)) == 0);
    broken_.push_back({op.tag, fault->result});
    return 0;
  }
  // Broken ones first, or, with `broken_last`, after all others.
  bool broken_last = false;
  Result<Completion> reap() override {
    --in_flight_;
    if (broken_.empty() || (broken_last && in_flight_ + 1 > broken_.size())) return queue_.reap();
    const Completion completion = broken_.front();
    broken_.pop_front();
    return completion;
  }

 private:
  WriteQueue& queue_;
  WriteDevice& device_;
  Log& log_;
  size_t in_flight_ = 0, most_in_flight_ = 0;
  std::deque<Completion> broken_;
};

// The queue kinds that are to be had here: io_uring may be forbidden.
inline QueueKind generate_queue_kind(const std::filesystem::path& path) {
  const QueueKind kind = GENERATE(QueueKind::io_uring, QueueKind::threads);
  const auto device = open_write_device(path);
  REQUIRE(device);
  if (kind == QueueKind::io_uring && !make_queue(kind, **device)) {
    WARN("io_uring is not to be had here: threads are tested in its place");
    return QueueKind::threads;
  }
  return kind;
}

// A commit with `rule` breaking what it writes, reads and flushes.
inline CommitReport commit_with_faults(const CommitRequest& request, Log& log, uint32_t alignment = 0,
                                       unsigned depth = kQueueDepth) {
  const auto device = open_write_device(request.path);
  REQUIRE(device);
  const auto queue = make_queue(request.queue, **device, depth);
  REQUIRE(queue);
  FaultyDevice faulty_device(**device, log, alignment);
  FaultyQueue faulty_queue(**queue, **device, log);
  return commit_on(request, faulty_device, faulty_queue);
}

// As a person is told it.
inline std::string text_of(const CommitReport& report) { return extscrub::text_of(report, "IMAGE", CommitPurpose::repair); }

// The n-th write fails; nothing of it is stored.
inline Rule fail_write(size_t n, int error = EIO) {
  return [=](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || e.index != n) return std::nullopt;
    return Fault{-error, 0};
  };
}

inline Rule fail_writes_to(Extent extent, int error = EIO) {
  return [=](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || !e.touches(extent)) return std::nullopt;
    return Fault{-error, 0};
  };
}

inline Rule fail_flush(size_t n) {
  return [=](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::flush || e.index != n) return std::nullopt;
    return Fault{};
  };
}

enum class Break { fail, torn, fail_from, lose, shorten };

// The n-th read fails, and so does each later one of the sector where it began: bad sectors stay bad.
inline Rule bad_sector(size_t n) {
  return [=, at = std::optional<uint64_t>()](const Event& e) mutable -> std::optional<Fault> {
    if (e.operation != Operation::read) return std::nullopt;
    if (e.index == n) at = e.at;
    return at && e.touches({*at, 512}) ? std::optional(Fault{-EIO, 0}) : std::nullopt;
  };
}

// The n-th operation of its kind breaks; with fail_from all that follow too.
inline Rule breaking(Break how, Operation operation, size_t n) {
  if (operation == Operation::read && how == Break::fail) return bad_sector(n);
  return [=](const Event& e) -> std::optional<Fault> {
    if (e.operation != operation) return std::nullopt;
    if (how == Break::fail_from ? e.index < n : e.index != n) return std::nullopt;
    switch (how) {
      case Break::fail:
      case Break::fail_from: return Fault{-EIO, 0};
      case Break::torn: return Fault{-EIO, 512};
      case Break::lose: return Fault{static_cast<int64_t>(e.length), 0};
      case Break::shorten: return Fault{512, 512};
    }
    return std::nullopt;
  };
}

// Cancels once `stop` says so.
struct StopAfter final : Progress {
  explicit StopAfter(std::function<bool()> stop) : stop(std::move(stop)) {}
  bool cancelled() const override { return stop(); }
  std::function<bool()> stop;
};

// Runs a program, quietly. Its exit status, or nothing when it is not to be had.
inline std::optional<int> run_tool(const std::string& command) {
  const std::string name = command.substr(0, command.find(' '));
  const std::string path = "PATH=\"$PATH:/usr/sbin:/sbin\"; ";
  if (std::system((path + "command -v " + name + " >/dev/null 2>&1").c_str()) != 0) {
    WARN(name << " is not here: skipped");
    return std::nullopt;
  }
  const int status = std::system((path + "E2FSCK_CONFIG=/dev/null " + command + " >/dev/null 2>&1").c_str());
  return WEXITSTATUS(status);
}

}  // namespace extscrub::test::wb
