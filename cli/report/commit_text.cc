#include "cli/report/commit_text.h"

#include <fmt/format.h>

#include "scan/format/error.h"

namespace extscrub {

namespace {

// Of an image that nobody has written to, behind "IMAGE is untouched: ".
std::string why_untouched(const Refusal& r, CommitPurpose purpose) {
  switch (r.reason) {
    case RefusalReason::cancelled: return "stopped before the first write";
    case RefusalReason::changed:
      return fmt::format(
          "block {} has changed since it was read, so somebody else writes to the image; try again once nobody does",
          r.block.value_or(BlockNo()));
    case RefusalReason::resized:
      return fmt::format(
          "its size changed from {} to {} bytes since it was read, so somebody else works on it; try again once nobody "
          "does",
          r.size_before, r.size_now);
    case RefusalReason::unreadable:
      return fmt::format("cannot read block {}: {}", r.block.value_or(BlockNo()), error_text(r.error));
    case RefusalReason::no_undo_log:
      return fmt::format("there is no undo log ({}). Give --undo-file a place with room, or do without one with --no-undo",
                         text_of(r.why));
    case RefusalReason::no_way_through_journal:
      return fmt::format("the repair cannot go through the journal ({}). With --commit=auto it is written in place then",
                         text_of(r.why));
    case RefusalReason::log_not_its_own:
      return "its journal has a block twice, or one that is something else as well. With --commit=direct it is not "
             "gone through";
    case RefusalReason::no_memory: return purpose == CommitPurpose::undo ? "there is not enough memory" : "out of memory";
    case RefusalReason::no_memory_or_thread: return "no memory or thread to write it with";
    case RefusalReason::log_unfinished: return "the undo log was not finished by its writer. --force undoes what it has";
    case RefusalReason::not_expected:
      return "its superblock is not the one that the undo log expects, so it is another image, or somebody has changed "
             "it since. --force "
             "undoes it all the same";
    case RefusalReason::block_foreign:
      return fmt::format(
          "block {} has neither what the commit of the undo log wrote nor what was there before, so somebody has "
          "changed the "
          "image since. --force undoes it all the same",
          r.block.value_or(BlockNo()));
    default: return text_of(r.why);
  }
}

// What is said of the image behind its path.
Error about(const std::string& path, std::string after, ErrorKind kind = ErrorKind::refused) {
  return {.kind = kind, .subject = path, .after = std::move(after)};
}

std::optional<Error> error_of(const Refusal& r, const std::string& path, CommitPurpose purpose) {
  switch (r.reason) {
    case RefusalReason::nothing_to_do: return std::nullopt;
    case RefusalReason::block_size: return about(path, fmt::format(" cannot be written with blocks of {} bytes", text_of(r.why)));
    case RefusalReason::ends_before_superblock: return about(path, " ends before its superblock does", ErrorKind::truncated);
    case RefusalReason::block_behind_end:
      return Error{fmt::format("block {} lies behind the end of {}", r.block.value_or(BlockNo()), path), ErrorKind::truncated};
    case RefusalReason::block_not_whole:
      return Error{fmt::format("block {} is not staged as a block of {}", r.block.value_or(BlockNo()), path)};
    case RefusalReason::no_order: return Error{fmt::format("the blocks of {} are not staged in an order", path)};
    case RefusalReason::journal_behind_end:
      return Error{fmt::format("the journal's superblock lies behind the end of {}", path), ErrorKind::truncated};
    case RefusalReason::not_opened:
      if (purpose == CommitPurpose::repair) return r.why;
      [[fallthrough]];
    default:
      return about(path, " is untouched: " + why_untouched(r, purpose),
                   r.reason == RefusalReason::cancelled ? ErrorKind::cancelled : ErrorKind::refused);
  }
}

std::string_view words_of(WhatIsLeft left, CommitPurpose purpose) {
  if (purpose == CommitPurpose::undo) return "not all old bytes are back on the image";
  switch (left) {
    case WhatIsLeft::in_place: return "the whole repair is on the image, but for the superblock that says so";
    case WhatIsLeft::in_journal: return "the whole repair waits in the image's journal, and the next mount or scrub completes it";
    case WhatIsLeft::as_it_was: return "the repair is not on the image, which is as it was but for that";
    case WhatIsLeft::unknown:
    case WhatIsLeft::in_part:
    case WhatIsLeft::not_durable: break;
  }
  return "the repair is not on the image, or only in part";
}

// Where it says that the image has errors.
std::string words_of_mark(const CommitReport& c) {
  const std::string beside = c.sidecar.empty() ? "no file can be put beside the image to say so (" + c.sidecar_error + ")"
                                               : c.sidecar.string() + " says so as well";
  if (c.marked && c.sidecar.empty() && c.sidecar_error.empty()) return "The image is marked as having errors";
  if (c.marked)
    return "The superblock is marked as having errors, but the journal cannot be, and its replay may put an older "
           "superblock over the mark; " +
           beside;
  if (!c.sidecar.empty()) return "The image cannot be marked; " + c.sidecar.string() + " says so in its place";
  return "The image cannot be marked, nor a file put beside it (" + c.sidecar_error + ")";
}

Error error_of_failure(const CommitReport& c, const std::string& path, CommitPurpose purpose) {
  const Failure& failure = *c.failure();
  if (c.left == WhatIsLeft::not_durable)
    return {.kind = ErrorKind::system,
            .code = failure.error,
            .subject = path,
            .after = " has the old bytes, but it is not known whether they last: flush"};
  return about(path, fmt::format(": {}; {}. {}. Look at the device below it, then {}", describe(failure),
                                 words_of(c.left, purpose), words_of_mark(c),
                                 purpose == CommitPurpose::undo ? "undo again, on the image or a copy on sound storage"
                                                                : "scrub the image, or a copy on sound storage, again"));
}

}  // namespace

std::optional<Error> error_of(const CommitReport& commit, const std::string& path, CommitPurpose purpose) {
  if (const Refusal* refusal = commit.refusal()) return error_of(*refusal, path, purpose);
  if (commit.failure()) return error_of_failure(commit, path, purpose);
  if (commit.left == WhatIsLeft::unknown) return std::nullopt;
  return about(path,
               fmt::format(": stopped before the end; {}; the image says that it is not clean. {} again",
                           words_of(commit.left, purpose), purpose == CommitPurpose::undo ? "Undo" : "Scrub it"),
               ErrorKind::cancelled);
}

std::string text_of(const CommitReport& commit, const std::string& path, CommitPurpose purpose) {
  const auto error = error_of(commit, path, purpose);
  return error ? text_of(*error) : std::string();
}

}  // namespace extscrub
