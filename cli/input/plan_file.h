// The plan of a scrub: the JSON report of a dry run, read again to be carried out. For one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/files/text_file.h"
#include "cli/report/report.h"

namespace extscrub {

struct ScrubPlan {
  RepairPolicy policy = RepairPolicy::safe;
  uint32_t time = 0;                // seconds; the repairs are staged as of then
  std::vector<BlockChange> blocks;  // ascending
};

// The plan for `image` (as its path was given) in the report `file`; a report of a single image goes for any path.
// Errors: those of read_text_file(); the file is no report of a dry run, or does not speak of the image.
[[nodiscard]] Result<ScrubPlan> read_plan(const std::string& file, const std::string& image, const TextFileRules& rules = {});

// Why `changes` are not what the plan asks for; empty when they are, block for block.
[[nodiscard]] std::string difference(const ScrubPlan& plan, const std::vector<BlockChange>& changes);

}  // namespace extscrub
