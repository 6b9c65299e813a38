// All subcommands, in the order of --help; each stands in a cmd_NAME.cc.
#pragma once

#include <array>

#include "cli/options/command.h"

namespace extscrub {

extern const Command kAuditCommand, kScrubCommand, kUndoCommand, kHistoryCommand, kExplainCommand, kChecksCommand;

inline constexpr std::array<const Command*, 6> kCommands = {&kAuditCommand,   &kScrubCommand,   &kUndoCommand,
                                                            &kHistoryCommand, &kExplainCommand, &kChecksCommand};

}  // namespace extscrub
