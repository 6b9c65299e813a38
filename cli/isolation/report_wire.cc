// One line a struct names its fields, for writing and for reading. The names are a structured binding, so that a field
// that is added to the struct and not to its line here does not compile; and the enumerators stand in a switch or have a
// name, so that neither does a new one.
#include "cli/isolation/report_wire.h"

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <type_traits>
#include <variant>

namespace extscrub {

namespace {

bool is_known(Problem problem) { return static_cast<size_t>(problem) < problem_catalogue().size(); }
bool is_known(RepairState state) { return !name(state).empty(); }
bool is_known(Verdict verdict) { return !name(verdict).empty(); }
bool is_known(JournalDefectKind kind) { return !name(kind).empty(); }
bool is_known(QueueKind kind) { return !name(kind).empty(); }

bool is_known(OrphanDefectKind kind) {
  switch (kind) {
    case OrphanDefectKind::out_of_range:
    case OrphanDefectKind::not_in_use:
    case OrphanDefectKind::unsealed:
    case OrphanDefectKind::loop:
    case OrphanDefectKind::no_file:
    case OrphanDefectKind::dangerous:
    case OrphanDefectKind::file_inode:
    case OrphanDefectKind::file_block:
    case OrphanDefectKind::file_checksum:
    case OrphanDefectKind::no_journal:
    case OrphanDefectKind::metadata: return true;
  }
  return false;
}

bool is_known(Remedy remedy) {
  switch (remedy) {
    case Remedy::by_class:
    case Remedy::scrub:
    case Remedy::all: return true;
  }
  return false;
}

bool is_known(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::refused:
    case ErrorKind::system:
    case ErrorKind::cancelled:
    case ErrorKind::no_superblock:
    case ErrorKind::unknown_feature:
    case ErrorKind::truncated:
    case ErrorKind::nothing_asked: return true;
  }
  return false;
}

bool is_known(Radix radix) { return radix == Radix::decimal || radix == Radix::hex; }

bool is_known(UnreadPart part) {
  switch (part) {
    case UnreadPart::other:
    case UnreadPart::group_descriptor:
    case UnreadPart::descriptor_blocks:
    case UnreadPart::block_bitmap:
    case UnreadPart::inode_bitmap:
    case UnreadPart::inode_table:
    case UnreadPart::block_map:
    case UnreadPart::directory:
    case UnreadPart::attribute_block:
    case UnreadPart::symbolic_link: return true;
  }
  return false;
}

bool is_known(RepairPolicy policy) {
  switch (policy) {
    case RepairPolicy::none:
    case RepairPolicy::safe:
    case RepairPolicy::all: return true;
  }
  return false;
}

bool is_known(CommitOutcome outcome) {
  switch (outcome) {
    case CommitOutcome::nothing_to_do:
    case CommitOutcome::committed:
    case CommitOutcome::refused:
    case CommitOutcome::cancelled:
    case CommitOutcome::errored: return true;
  }
  return false;
}

bool is_known(RefusalReason value) {
  switch (value) {
    case RefusalReason::nothing_to_do:
    case RefusalReason::cancelled:
    case RefusalReason::block_size:
    case RefusalReason::ends_before_superblock:
    case RefusalReason::block_behind_end:
    case RefusalReason::block_not_whole:
    case RefusalReason::no_order:
    case RefusalReason::journal_behind_end:
    case RefusalReason::changed:
    case RefusalReason::resized:
    case RefusalReason::unreadable:
    case RefusalReason::no_undo_log:
    case RefusalReason::no_way_through_journal:
    case RefusalReason::log_not_its_own:
    case RefusalReason::not_opened:
    case RefusalReason::no_queue:
    case RefusalReason::no_memory:
    case RefusalReason::no_memory_or_thread:
    case RefusalReason::log_unusable:
    case RefusalReason::log_unfinished:
    case RefusalReason::not_expected:
    case RefusalReason::block_foreign: return true;
  }
  return false;
}

bool is_known(WhatIsLeft value) {
  switch (value) {
    case WhatIsLeft::unknown:
    case WhatIsLeft::in_part:
    case WhatIsLeft::as_it_was:
    case WhatIsLeft::in_journal:
    case WhatIsLeft::in_place:
    case WhatIsLeft::not_durable: return true;
  }
  return false;
}

bool is_known(CommitStep value) {
  switch (value) {
    case CommitStep::arm:
    case CommitStep::log:
    case CommitStep::write:
    case CommitStep::flush:
    case CommitStep::read_back:
    case CommitStep::finish:
    case CommitStep::size:
    case CommitStep::mmp: return true;
  }
  return false;
}

bool is_known(UndoLogState state) {
  switch (state) {
    case UndoLogState::none:
    case UndoLogState::failed:
    case UndoLogState::removed:
    case UndoLogState::kept: return true;
  }
  return false;
}

bool is_known(BufferKind kind) {
  switch (kind) {
    case BufferKind::block:
    case BufferKind::log:
    case BufferKind::journal_superblock:
    case BufferKind::superblock:
    case BufferKind::mark: return true;
  }
  return false;
}

template <class T>
concept Plain = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
template <class T>
concept Enumeration = std::is_enum_v<T>;
// A struct, or the same but constant.
template <class T, class Struct>
concept Of = std::is_same_v<std::remove_const_t<T>, Struct>;

// Writes all that it is given.
class Packer {
 public:
  std::string bytes;

  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }

 private:
  void put(bool value) { bytes += value ? '\1' : '\0'; }
  void put(const Plain auto& value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); }
  template <Enumeration T>
  void put(const T& value) {
    put(static_cast<std::underlying_type_t<T>>(value));
  }
  void put(const std::string& text) {
    put(uint64_t{text.size()});
    bytes += text;
  }
  void put(const std::filesystem::path& path) { put(path.native()); }
  template <class Tag, class Rep>
  void put(Number<Tag, Rep> number) {
    put(number.value);
  }
  template <class Rep, class Period>
  void put(std::chrono::duration<Rep, Period> time) {
    put(time.count());
  }
  template <class T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(uint64_t{values.size()});
    for (const T& value : values) put(value);
  }
  template <class T, size_t N>
  void put(const std::array<T, N>& values) {
    for (const T& value : values) put(value);
  }
  void put(std::monostate) {}
  template <class... T>
  void put(const std::variant<T...>& value) {
    put(static_cast<uint8_t>(value.index()));
    std::visit([&](const auto& held) { put(held); }, value);
  }
  template <class Struct>
  void put(const Struct& value) {
    fields(*this, value);
  }
};

// Fills all that it is given. When something does not fit, ok() is false from there on, and the rest stays as it is.
class Unpacker {
 public:
  Unpacker(std::string_view bytes, uint64_t& budget) : left_(bytes), budget_(budget) {}

  template <class... T>
  void operator()(T&... values) {
    (take(values), ...);
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return left_.empty(); }

 private:
  void require(bool condition) { ok_ = ok_ && condition; }

  std::string_view next(size_t size) {
    require(size <= left_.size());
    if (!ok_) return {};
    const std::string_view part = left_.substr(0, size);
    left_.remove_prefix(size);
    return part;
  }

  // Takes the memory of `count` things off the budget.
  void charge(uint64_t count, uint64_t size) {
    require(count <= budget_ / size);
    if (ok_) budget_ -= count * size;
  }

  void take(bool& value) {
    uint8_t byte = 0;
    take(byte);
    require(byte <= 1);
    value = byte == 1;
  }
  template <Plain T>
  void take(T& value) {
    if (const std::string_view part = next(sizeof value); ok_) std::memcpy(&value, part.data(), sizeof value);
    if constexpr (std::is_floating_point_v<T>) require(std::isfinite(value));
  }
  template <Enumeration T>
  void take(T& value) {
    std::underlying_type_t<T> number{};
    take(number);
    require(is_known(static_cast<T>(number)));
    if (ok_) value = static_cast<T>(number);
  }
  void take(std::string& text) {
    uint64_t size = 0;
    take(size);
    charge(size, 1);
    text = next(size);
  }
  void take(std::filesystem::path& path) {
    std::string text;
    take(text);
    path = std::move(text);
  }
  template <class Tag, class Rep>
  void take(Number<Tag, Rep>& number) {
    take(number.value);
  }
  template <class Rep, class Period>
  void take(std::chrono::duration<Rep, Period>& time) {
    Rep count{};
    take(count);
    time = std::chrono::duration<Rep, Period>(count);
  }
  template <class T>
  void take(std::optional<T>& value) {
    bool is_there = false;
    take(is_there);
    if (is_there) take(value.emplace());
  }
  template <class T>
  void take(std::vector<T>& values) {
    uint64_t count = 0;
    take(count);
    require(count <= left_.size());  // none takes less than a byte
    charge(count, sizeof(T));
    if (!ok_) return;
    values.reserve(count);
    for (uint64_t i = 0; ok_ && i < count; ++i) {
      T value{};
      take(value);
      values.push_back(std::move(value));
    }
  }
  template <class T, size_t N>
  void take(std::array<T, N>& values) {
    for (T& value : values) take(value);
  }
  void take(std::monostate&) {}
  template <class... T>
  void take(std::variant<T...>& value) {
    uint8_t index = 0;
    take(index);
    require(index < sizeof...(T));
    uint8_t i = 0;
    ((ok_ && i++ == index ? take(value.template emplace<T>()) : void()), ...);
  }
  template <class Struct>
  void take(Struct& value) {
    fields(*this, value);
  }

  std::string_view left_;
  uint64_t& budget_;
  bool ok_ = true;
};

// ---- The structs ----

// The fields are named once, for the binding, which wants them all, and for the wire.
#define FIELDS_OF(Struct, ...)                  \
  template <class Wire>                         \
  void fields(Wire& wire, Of<Struct> auto& s) { \
    auto& [__VA_ARGS__] = s;                    \
    wire(__VA_ARGS__);                          \
  }

FIELDS_OF(Error, what, kind, code, subject, after, advice)
FIELDS_OF(ByteRange, first, end)
FIELDS_OF(EntryPlace, target, offset, name)
FIELDS_OF(FindingPlace, group, inode, block, logical, block_count, field, entry)
FIELDS_OF(WrongNumber, expected, found, radix, at_most, remark)
FIELDS_OF(WrongBits, should_be_set, uninit)
FIELDS_OF(Unreadable, part, text)
FIELDS_OF(Note, expected, found)

template <class Wire>
void fields(Wire& wire, Of<Finding> auto& s) {
  static_assert(sizeof(Finding) == sizeof(FindingPlace) + sizeof(s.evidence) + sizeof(s.path) + 2 * sizeof(uint64_t),
                "a field is not here");
  using Place = std::conditional_t<std::is_const_v<std::remove_reference_t<decltype(s)>>, const FindingPlace, FindingPlace>;
  wire(static_cast<Place&>(s), s.problem, s.evidence, s.path, s.repair, s.remedy);
}
FIELDS_OF(FindingCount, problem, repair, count)
FIELDS_OF(ImageInfo, uuid, label, features, block_size, cluster_size, blocks, inodes, groups, inode_size, groups_per_desc_block,
          superblock_block)
FIELDS_OF(Changes, since, verdict, is_new, gone)
FIELDS_OF(JournalDefect, kind, log_block, sequence, expected, found)
FIELDS_OF(JournalFacts, present, external, usable, fast_commits_fit, flagged, needs_recovery, whole, inode, uuid, blocks, error,
          first_sequence, last_sequence, transactions, log_end, replayed_blocks, revoked_blocks, fast_commit_tags, defects)
FIELDS_OF(OrphanDefect, kind, inode, block, expected, found)
FIELDS_OF(OrphanFacts, listed, deleted, truncated, processed, defects)
FIELDS_OF(Recovery, journal, orphans, replayed)
FIELDS_OF(HistoryFacts, transactions, since, compared)
FIELDS_OF(AuditStatistics, inodes_in_use, directories, blocks_in_use, bytes_read, history, seconds)
FIELDS_OF(BlockChange, block, what, before, after)
FIELDS_OF(Loss, problem, inode, path, what, bytes)
FIELDS_OF(WayChoice, journal, why_direct, log)
FIELDS_OF(RepairReport, policy, dry_run, proven_clean, rounds, time, blocks, losses, way)
FIELDS_OF(Receipt, block, before_hash, after_hash, submitted, completed, read_back, error, flush, kind)
FIELDS_OF(Refusal, reason, error, block, size_before, size_now, why)
FIELDS_OF(Failure, step, block, error, count)
FIELDS_OF(CommitReport, outcome, cause, left, armed, marked, sidecar, sidecar_error, undo, undo_file, undo_bytes, through_journal,
          why_direct, logged, log_blocks, queue, direct_io, blocks_written, bytes_written, writes, flushes, seconds, receipts,
          superblock_receipts)
FIELDS_OF(Timings, audit, writeback, total)
FIELDS_OF(LoggedTransaction, sequence, seconds, nanoseconds, log_begin, log_end, copies, revokes)
FIELDS_OF(VersionChange, what, before, after)
FIELDS_OF(BlockVersion, in_place, sequence, seconds, nanoseconds, log_block, revoked, error, changes)
FIELDS_OF(BlockPast, block, what, versions)
FIELDS_OF(Past, none, transactions, unbroken, bounded, copies, blocks, inode, asked)
FIELDS_OF(ImageReport, path, partition, opened, read_only, needs_writing, offset, length, partition_type, holds, not_audited,
          info, verdict, exit_status, error, warnings, findings, past, without_path, changes, recovery, statistics, repairs,
          writeback, undo_log, undone, history, timings)

#undef FIELDS_OF

// What who prints a report goes by without asking.
bool is_consistent(const ImageReport& report) {
  if (report.undone && *report.undone && !report.writeback) return false;
  if (report.history && report.history->unbroken > report.history->transactions.size()) return false;
  if (report.changes && !report.changes->is_new.empty() && report.changes->is_new.size() != report.findings.size()) return false;
  return true;
}

template <class T>
std::string bytes_of_struct(const T& value) {
  Packer wire;
  wire(value);
  return std::move(wire.bytes);
}

template <class T>
std::optional<T> struct_of(std::string_view bytes, uint64_t& budget) {
  Unpacker wire(bytes, budget);
  T value{};
  wire(value);
  if (!wire.ok() || !wire.at_end()) return std::nullopt;
  return value;
}

}  // namespace

std::string to_bytes(const ImageReport& report) { return bytes_of_struct(report); }

std::string error_to_bytes(const Error& error) { return bytes_of_struct(error); }

std::optional<Error> error_from_bytes(std::string_view bytes, uint64_t& budget) { return struct_of<Error>(bytes, budget); }

std::optional<ImageReport> report_from_bytes(std::string_view bytes, uint64_t& budget) {
  auto report = struct_of<ImageReport>(bytes, budget);
  if (report && !is_consistent(*report)) return std::nullopt;
  return report;
}

}  // namespace extscrub
