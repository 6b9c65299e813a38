#include "cli/input/plan_file.h"

#include "cli/options/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace extscrub {

namespace {

using PlanJson = nlohmann::json;

std::unexpected<Error> not_a_plan(const std::string& file, const std::string& why) {
  return std::unexpected(
      Error{.subject = file,
            .after = fmt::format(" is no plan of a scrub: {}. `extscrub scrub --dry-run --format=json` makes one", why)});
}

ScrubPlan plan_of(const PlanJson& repairs) {
  ScrubPlan plan;
  plan.policy = value_of<RepairPolicy>(repairs.at("policy").get<std::string>()).value_or(RepairPolicy::none);
  plan.time = repairs.at("time").get<uint32_t>();
  for (const PlanJson& block : repairs.at("blocks"))
    plan.blocks.push_back({BlockNo(block.at("block").get<uint64_t>()), block.at("what").get<std::string>(),
                           block.at("before").get<std::string>(), block.at("after").get<std::string>()});
  std::ranges::sort(plan.blocks, {}, &BlockChange::block);
  return plan;
}

}  // namespace

Result<ScrubPlan> read_plan(const std::string& file, const std::string& image, const TextFileRules& rules) {
  const auto text = read_text_file(file, "the plan " + file, rules);
  if (!text) return std::unexpected(text.error());
  try {
    const PlanJson report = PlanJson::parse(*text);
    if (report.at("schema") != "extscrub/1") return not_a_plan(file, "unknown schema");
    const PlanJson& images = report.at("images");
    for (const PlanJson& entry : images) {
      if (images.size() > 1 && entry.at("path") != image) continue;
      const PlanJson& repairs = entry.at("repairs");
      if (repairs.is_null() || !repairs.at("dry_run").get<bool>()) return not_a_plan(file, "it reports no dry run");
      return plan_of(repairs);
    }
    return not_a_plan(file, "it does not speak of this image");
  } catch (const PlanJson::exception& e) {
    return not_a_plan(file, e.what());
  }
}

std::string difference(const ScrubPlan& plan, const std::vector<BlockChange>& changes) {
  const size_t n = std::max(plan.blocks.size(), changes.size());
  for (size_t i = 0; i < n; ++i) {
    if (i >= changes.size() || (i < plan.blocks.size() && plan.blocks[i].block < changes[i].block))
      return fmt::format("block {} would not be written any more", plan.blocks[i].block);
    if (i >= plan.blocks.size() || changes[i].block < plan.blocks[i].block)
      return fmt::format("block {} would be written, which the plan does not have", changes[i].block);
    if (changes[i].before != plan.blocks[i].before) return fmt::format("block {} is not what it was", changes[i].block);
    if (changes[i].after != plan.blocks[i].after)
      return fmt::format("block {} would not become what the plan says", changes[i].block);
  }
  return {};
}

}  // namespace extscrub
