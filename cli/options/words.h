// The words that options, reports and plans have for the values of an enumeration: from a value to its word and back.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "audit/run/audit.h"
#include "cli/options/options.h"
#include "writeback/commit/commit.h"

namespace extscrub {

template <class T>
using Word = std::pair<std::string_view, T>;

// An enumeration without words of its own has no use for the functions below, and does not compile with them.
template <class T>
inline constexpr auto kWords = nullptr;

template <>
inline constexpr auto kWords<When> =
    std::to_array<Word<When>>({{"auto", When::automatic}, {"always", When::always}, {"never", When::never}});
template <>
inline constexpr auto kWords<RepairPolicy> =
    std::to_array<Word<RepairPolicy>>({{"none", RepairPolicy::none}, {"safe", RepairPolicy::safe}, {"all", RepairPolicy::all}});
template <>
inline constexpr auto kWords<QueueKind> = std::to_array<Word<QueueKind>>(
    {{"auto", QueueKind::automatic}, {"uring", QueueKind::io_uring}, {"threads", QueueKind::threads}});
template <>
inline constexpr auto kWords<CommitWay> = std::to_array<Word<CommitWay>>(
    {{"auto", CommitWay::automatic}, {"journal", CommitWay::journal}, {"direct", CommitWay::direct}});
template <>
inline constexpr auto kWords<Remedy> =
    std::to_array<Word<Remedy>>({{"", Remedy::by_class}, {"scrub", Remedy::scrub}, {"repair-all", Remedy::all}});
template <>
inline constexpr auto kWords<CommitOutcome> = std::to_array<Word<CommitOutcome>>({{"committed", CommitOutcome::committed},
                                                                                  {"nothing-to-do", CommitOutcome::nothing_to_do},
                                                                                  {"refused", CommitOutcome::refused},
                                                                                  {"cancelled", CommitOutcome::cancelled},
                                                                                  {"errored", CommitOutcome::errored}});
template <>
inline constexpr auto kWords<UndoLogState> = std::to_array<Word<UndoLogState>>({{"none", UndoLogState::none},
                                                                                {"failed", UndoLogState::failed},
                                                                                {"removed", UndoLogState::removed},
                                                                                {"kept", UndoLogState::kept}});
template <>
inline constexpr auto kWords<BufferKind> =
    std::to_array<Word<BufferKind>>({{"block", BufferKind::block},
                                     {"log", BufferKind::log},
                                     {"journal-superblock", BufferKind::journal_superblock},
                                     {"superblock", BufferKind::superblock},
                                     {"error-mark", BufferKind::mark}});

template <class T>
[[nodiscard]] constexpr std::string_view word_of(T value) {
  const auto it = std::ranges::find(kWords<T>, value, &Word<T>::second);
  return it == kWords<T>.end() ? std::string_view() : it->first;
}

template <class T>
[[nodiscard]] constexpr std::optional<T> value_of(std::string_view word) {
  const auto it = std::ranges::find(kWords<T>, word, &Word<T>::first);
  return it == kWords<T>.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace extscrub
