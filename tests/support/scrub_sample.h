// A small, damaged image with the repair that is planned for it, to be committed with faults; and the judge of what is
// left: an audit of the whole image. Belongs to one thread.
#pragma once

#include <set>

#include "audit/auditor.h"
#include "tests/cli/undo_support.h"
#include "tests/support/audit_image.h"

namespace extscrub::test::wb {

inline test::TestImage make_damaged(bool journal) {
  const TempDir tree;
  for (const std::string name : {"one", "two", "three"}) {
    std::filesystem::create_directory(tree.path() / name);
    write_file(tree.path() / name / "file", std::vector<std::byte>(5000, std::byte{0x5A}));
  }
  std::vector<std::string> options{"-t", "ext4", "-b", "1024", "-g", "2048", "-N", "256"};
  if (journal)
    options.insert(options.end(), {"-J", "size=1"});
  else
    options.insert(options.end(), {"-O", "^has_journal"});
  test::TestImage image(options, "5M", tree.path());
  for (const char* request : {"setb 1900 30", "setb 4200 20", "freei /one/file", "sif /two links_count 9",
                              "sif /three/file links_count 5", "ssv free_blocks_count 7"})
    image.debugfs(request);
  return image;
}

// But for what a commit itself writes into superblocks, and the totals there, which a mount that needs recovery counts anew.
inline std::set<std::string> errors_of(const Audit& audit) {
  std::set<std::string> errors;
  for (const Finding& f : audit.findings) {
    const bool of_the_commit = f.problem == Problem::superblock_not_clean || f.problem == Problem::superblock_error_mark ||
                               f.problem == Problem::journal_error || f.problem == Problem::journal_needs_recovery ||
                               f.problem == Problem::superblock_free_blocks || f.problem == Problem::superblock_free_inodes;
    if (info(f.problem).severity == Severity::error && !of_the_commit) errors.insert(describe({f}));
  }
  return errors;
}

// A damaged image in a fast place, the repair that is planned for it, and its judge.
class Sample {
 public:
  explicit Sample(CommitWay way) : directory_(fast_directory()), path_(directory_.path() / "image") {
    const test::TestImage damaged = make_damaged(way == CommitWay::journal);
    original_ = read_file(damaged.path());
    restore();
    image_.emplace(*Image::open(path_));
    AuditOptions options;
    options.jobs = 1;
    options.now = 1'700'000'000;
    auto plan = plan_repairs(*image_, RepairPolicy::safe, options);
    REQUIRE(plan);
    REQUIRE(plan->proven_clean);
    plan_.emplace(std::move(*plan));
    const auto before = audit(*image_, nullptr, options);
    REQUIRE(before);
    before_ = errors_of(*before);
    request_.path = path_;
    request_.block_size = plan_->overlay->block_size();
    request_.blocks = plan_->overlay->staged();
    request_.final_superblock = plan_->final_superblock;
    request_.journal_superblock = plan_->journal_superblock;
    request_.journal = plan_->journal;
    request_.way = way;
    request_.undo = UndoPlace{undo_path()};
    REQUIRE(request_.blocks.size() >= 5);
  }

  void restore() const {
    write_file(path_, original_);
    std::filesystem::remove(undo_path());
    std::filesystem::remove(sidecar_path(path_));
  }
  [[nodiscard]] CommitReport commit(Log& log) const { return commit_with_faults(request_, log, 512); }
  [[nodiscard]] const std::vector<std::byte>& original() const { return original_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const CommitRequest& request() const { return request_; }
  [[nodiscard]] CommitRequest& request() { return request_; }

  // The image as it lies there now. `success`: whoever wrote it says that all went well.
  void judge(bool success) const {
    const std::vector<std::byte> now = read_file(path_);
    REQUIRE(now.size() == original_.size());
    if (now == original_) {
      REQUIRE_FALSE(success);
      return;
    }
    AuditOptions options;
    options.jobs = 1;
    const auto image = Image::open(path_);
    REQUIRE(image);
    const auto audited = audit(*image, nullptr, options);
    REQUIRE(audited);
    const auto errors = errors_of(*audited);
    const auto superblock = load<Superblock>(now, kSuperblockOffset);
    const auto sb = load<ext2_super_block>(superblock);
    const bool sound = is_sound_superblock(superblock);  // a power cut can leave half of one
    const bool clean = sound && says_clean(superblock) && !(sb.s_state & EXT2_ERROR_FS) && !needs_recovery(superblock);
    INFO(describe(audited->findings));
    if (clean) REQUIRE(audited->verdict == Verdict::clean);
    if (success) REQUIRE(audited->verdict == Verdict::clean);
    if (request_.way == CommitWay::journal && sound) REQUIRE((errors.empty() || errors == before_));
  }

  // Ends at the old bytes, where the commit has got as far as to write.
  void undo() const {
    if (!std::filesystem::exists(undo_path())) {
      REQUIRE(read_file(path_) == original_);
      return;
    }
    const auto log = UndoLog::open(undo_path());
    REQUIRE(log);
    const auto device = open_write_device(path_);
    REQUIRE(device);
    const auto queue = make_queue(QueueKind::threads, **device);
    REQUIRE(queue);
    UndoRequest undo;
    undo.log = undo_path();
    undo.image = path_;
    const CommitReport report = undo_on(undo, *log, **device, **queue);
    INFO(text_of(report));
    REQUIRE(is_over(report));
    REQUIRE(read_file(path_) == original_);
  }

 private:
  [[nodiscard]] std::filesystem::path undo_path() const { return path_.string() + ".undo"; }

  TempDir directory_;
  std::filesystem::path path_;
  std::vector<std::byte> original_;
  std::optional<Image> image_;
  std::optional<RepairPlan> plan_;
  std::set<std::string> before_;
  CommitRequest request_;
};

}  // namespace extscrub::test::wb
