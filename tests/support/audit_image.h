// Audits and mends test images in process, and finds what they found. One thread.
#pragma once

#include <string>

#include "audit/auditor.h"
#include "tests/damage/scenario.h"
#include "tests/support/test_image.h"

namespace extscrub::test {

// How many findings there are where only one is kept.
[[nodiscard]] uint64_t count_when_limited(const TestImage& image);

// Throws when the image cannot be audited at all.
[[nodiscard]] Audit audit_of(const TestImage& image, unsigned jobs = 2);
[[nodiscard]] RepairPlan plan_of(const Image& image, RepairPolicy policy = RepairPolicy::safe);

// Writes the staged blocks into the image, as a commit that never fails would.
void apply(const TestImage& image, const RepairPlan& plan);

// Mends the image: proven clean, and e2fsck finds nothing.
void check_proven_repair(const TestImage& image, RepairPolicy policy = RepairPolicy::safe);

// Does the finding have this problem and lie at this place?
[[nodiscard]] bool is_at(const Finding& finding, Problem problem, const Place& place);

// Every field of the findings, one line each, for messages and for comparing.
[[nodiscard]] std::string describe(const std::vector<Finding>& findings);

}  // namespace extscrub::test
