#include "tests/tables/field_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/tables/file_tree.h"

namespace extscrub::test {

namespace {

std::string_view text(RepairNeeded repair) {
  constexpr std::string_view kTexts[] = {"none", "safe", "lossy"};
  return kTexts[static_cast<size_t>(repair)];
}

std::string text(const Wrong& wrong) {
  constexpr const char* kWords[] = {"", "flip ", "add ", "fill "};
  return fmt::format("{}{:#x}", kWords[wrong.how], wrong.number);
}

uint64_t number_of(std::span<const std::byte> bytes, bool big_endian) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    number |= std::to_integer<uint64_t>(bytes[big_endian ? bytes.size() - 1 - i : i]) << 8 * i;
  return number;
}

// False when the field has that value already, so that nothing is wrong.
bool spoil(const TestImage& image, uint64_t at, unsigned width, const Wrong& wrong, bool big_endian) {
  std::vector<std::byte> bytes(width);
  image.read(at, bytes);
  const std::vector<std::byte> before = bytes;
  const std::span part = std::span(bytes).first(std::min(width, 8u));
  uint64_t number = number_of(part, big_endian);
  switch (wrong.how) {
    case Wrong::set: number = wrong.number; break;
    case Wrong::flip: number ^= wrong.number; break;
    case Wrong::add: number += wrong.number; break;
    case Wrong::fill: std::ranges::fill(bytes, static_cast<std::byte>(wrong.number)); break;
  }
  if (wrong.how != Wrong::fill)
    for (size_t i = 0; i < part.size(); ++i) part[big_endian ? part.size() - 1 - i : i] = static_cast<std::byte>(number >> 8 * i);
  image.write(at, bytes);
  return bytes != before;
}

RepairPlan plan_for(const Image& image, RepairPolicy policy) {
  AuditOptions options;
  options.jobs = 1;
  auto plan = plan_repairs(image, policy, options);
  if (!plan) throw std::runtime_error(text_of(plan.error()));
  return std::move(*plan);
}

bool stages_nothing(const RepairPlan& plan) { return !plan.overlay || plan.overlay->staged().empty(); }

class FieldTrial {
 public:
  FieldTrial(const FieldTable& table, const TestImage& sound) : table_(table), sound_(sound), spot_(table.locate(sound)) {
    const auto geometry = derive_geometry(sound.superblock(), sound.size());
    REQUIRE(geometry);
    geometry_ = *geometry;
    const auto opened = Image::open(sound.path());
    const RepairPlan plan = plan_for(*opened, RepairPolicy::safe);  // replays what waits
    INFO(table.structure << ", before anything is wrong\n" << describe(plan.before.findings));
    REQUIRE(plan.before.verdict != Verdict::damaged);
    for (const Finding& finding : plan.before.findings) usual_.push_back(finding.problem);
    usual_repair_ = stages_nothing(plan) ? RepairNeeded::none : RepairNeeded::safe;
    usual_verdict_ = plan.after.verdict;
    tree_ = tree_of(*opened, plan.overlay ? &*plan.overlay : nullptr);
  }

  [[nodiscard]] bool well() const { return complaints_.empty(); }
  // What is not as the row says, and what was found; empty when all is.
  std::string run(const FieldRow& row, const Wrong& wrong, bool sealed) {
    complaints_.clear();
    found_.clear();
    try {
      judge(row, wrong, sealed);
    } catch (const std::exception& error) {
      complaints_ += fmt::format("cannot go on: {}\n", error.what());
    }
    if (complaints_.empty()) return "";
    return fmt::format("{}, {}: {}{}\n{}{}", table_.structure, row.field, text(wrong), sealed ? "" : ", not sealed", complaints_,
                       found_);
  }

 private:
  void judge(const FieldRow& row, const Wrong& wrong, bool sealed) {
    const TestImage image = sound_.copy();
    expect(spoil(image, spot_.at + row.at, row.width, wrong, table_.big_endian), "the field has that value already");
    if (sealed && table_.seal) table_.seal({image, geometry_, spot_});
    const bool by_checksum = !sealed && !table_.unsealed.empty() && !row.fate.uncovered;
    const auto opened = Image::open(image.path());
    if (row.fate.refused && !by_checksum) return check_refused(*opened, row.fate.why);
    RepairPlan plan = plan_for(*opened, RepairPolicy::safe);
    tell("found", plan.before.findings);
    check_code(plan.before.findings, row.fate, by_checksum);

    RepairNeeded needed = RepairNeeded::safe;
    if (plan.proven_clean && stages_nothing(plan)) needed = RepairNeeded::none;
    if (!plan.proven_clean) {
      needed = RepairNeeded::lossy;
      tell("after a safe repair", plan.after.findings);
      if (!row.fate.hides) same(tree_of(*opened, plan.overlay ? &*plan.overlay : nullptr), true, "by the safe repair");
      plan = plan_for(*opened, RepairPolicy::all);
      tell("after all repairs", plan.after.findings);
    }
    expect(plan.proven_clean, "not mended");
    const RepairNeeded wanted = std::max(row.fate.repair, usual_repair_);
    if (!by_checksum) expect(needed == wanted, fmt::format("the repair is {}, not {}", text(needed), text(wanted)));
    if (!plan.proven_clean) return;
    apply(image, plan);
    const bool own_may_change = row.fate.own_changes || needed == RepairNeeded::lossy || !row.fate.code;
    check_mended(image, row, own_may_change);
  }

  void check_refused(const Image& image, std::string_view why) {
    try {
      (void)plan_for(image, RepairPolicy::all);
      expect(false, "it is not refused");
    } catch (const std::exception& error) {
      expect(std::string_view(error.what()).contains(why), error.what());
    }
  }

  void expect(bool holds, std::string_view complaint) {
    if (!holds) complaints_ += fmt::format("  {}\n", complaint);
  }
  // The first of them: a wrong superblock can bring hundreds.
  void tell(const char* when, std::vector<Finding> findings) {
    constexpr size_t kTold = 8;
    const size_t more = findings.size() - std::min(findings.size(), kTold);
    findings.resize(findings.size() - more);
    found_ += fmt::format("{}:\n{}{}", when, describe(findings), more ? fmt::format("and {} more\n", more) : "");
  }
  void same(const FileTree& tree, bool own_may_change, const char* when) {
    const std::string changed = own_may_change ? difference(tree_, tree, table_.own, spot_.inode) : difference(tree_, tree, {});
    if (changed.empty()) return;
    const auto lines = std::ranges::count(changed, '\n');
    size_t end = changed.find('\n') + 1;
    if (lines > 1) end = changed.find('\n', end) + 1;
    complaints_ += fmt::format("  {} changed {}:\n  {}", lines, when, changed.substr(0, end));
  }

  void check_code(const std::vector<Finding>& findings, const Fate& fate, bool by_checksum) {
    const auto has = [&](Problem code) { return std::ranges::count(findings, code, &Finding::problem) > 0; };
    const auto is_usual = [&](const Finding& f) { return std::ranges::count(usual_, f.problem) > 0; };
    if (by_checksum)
      expect(std::ranges::any_of(table_.unsealed, has) || (fate.code && has(*fate.code)), "the checksum is not noticed");
    else if (fate.code)
      expect(has(*fate.code), fmt::format("no {}", info(*fate.code).code));
    else
      expect(std::ranges::all_of(findings, is_usual), "it is noticed");
  }

  void check_mended(const TestImage& image, const FieldRow& row, bool own_may_change) {
    const auto mended = Image::open(image.path());
    same(tree_of(*mended), own_may_change, "by the repair");
    const RepairPlan again = plan_for(*mended, RepairPolicy::safe);
    if ((again.before.verdict != Verdict::clean && again.before.verdict != usual_verdict_) || !stages_nothing(again)) {
      expect(false, "not clean the second time");
      tell("the second time", again.before.findings);
    }
    if (row.fate.code == Problem::mmp_in_use) return;  // e2fsck and the kernel would wait for whoever it is
    const Outcome judgement = image.e2fsck_report();
    // A row that says so without need would hide what is mended by now.
    if ((judgement.status != 0) != row.fate.e2fsck_differs) complaints_ += "  e2fsck: " + judgement.output;
    if (const char* keep = std::getenv("EXTSCRUB_KEEP_IMAGES")) keep_image(image, keep, row.field);
  }

  void keep_image(const TestImage& image, const char* directory, std::string_view field) {
    std::string name = fmt::format("{}-{}-{}", table_.structure, field, kept_++);
    std::ranges::replace_if(
        name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_'; }, '_');
    std::filesystem::copy_file(image.path(), std::filesystem::path(directory) / (name + ".img"),
                               std::filesystem::copy_options::overwrite_existing);
  }

  const FieldTable& table_;
  const TestImage& sound_;
  Spot spot_;
  Geometry geometry_;
  FileTree tree_;
  // Of the sound image: a journal to replay.
  std::vector<Problem> usual_;
  RepairNeeded usual_repair_{};
  Verdict usual_verdict_{};
  int kept_ = 0;
  std::string complaints_, found_;
};

// Every byte has a row.
void check_coverage(const FieldTable& table, const std::vector<FieldRow>& rows) {
  std::vector<bool> covered(table.size);
  for (const FieldRow& row : rows) {
    INFO(table.structure << ", " << row.field);
    REQUIRE(row.width > 0);
    REQUIRE(row.at + row.width <= table.size);
    CHECK_FALSE(row.wrong.empty());
    CHECK((row.fate.code || *row.fate.why));
    std::fill_n(covered.begin() + row.at, row.width, true);
  }
  for (unsigned byte = 0; byte < table.size; ++byte) {
    INFO(table.structure << ", byte " << byte);
    CHECK(covered[byte]);
  }
}

}  // namespace

void check_fields(const FieldTable& table, const std::vector<FieldRow>& rows) {
  check_coverage(table, rows);
  FieldTrial trial(table, table.sound());
  for (const FieldRow& row : rows)
    for (const Wrong& wrong : row.wrong)
      for (const bool sealed : {true, false})
        if (sealed || table.seal) {
          UNSCOPED_INFO(trial.run(row, wrong, sealed));
          CHECK(trial.well());
        }
}

}  // namespace extscrub::test
