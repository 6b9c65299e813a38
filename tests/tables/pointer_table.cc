#include "tests/tables/pointer_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "audit/catalogue/finding_id.h"
#include "scan/format/ext2fs.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

constexpr uint32_t kNow = 1'900'000'000;
constexpr size_t kOneCutIn = 17;  // rows
constexpr std::string_view kOption = "--superblock ";

bool whole_table() { return std::getenv("EXTSCRUB_WHOLE_TABLE") != nullptr; }

// With the time fixed, so that two repairs can be compared.
RepairPlan plan_at_fixed_time(const Image& image, RepairPolicy policy) {
  AuditOptions options;
  options.jobs = 1;
  options.now = kNow;
  auto plan = plan_repairs(image, policy, options);
  // Without checksums nobody but the user says that a copy is to be gone by; the words say which.
  if (!plan)
    if (const size_t at = text_of(plan.error()).find(kOption); at != std::string::npos) {
      options.superblock = std::strtoull(text_of(plan.error()).c_str() + at + kOption.size(), nullptr, 10);
      plan = plan_repairs(image, policy, options);
    }
  if (!plan) throw std::runtime_error(text_of(plan.error()));
  return std::move(*plan);
}

// One row of the table.
class Row {
 public:
  Row(const PointerImage& image, const PointerField& field, const PointerTarget& target, bool sealed)
      : sound_(image), field_(field), target_(target), damaged_(image.image.copy()) {
    involved_.insert(field.involved.begin(), field.involved.end());
    involved_.insert(field.inode);
    // Two entries in one directory for one: which of them it was nobody knows.
    if (!field.involved.empty() && image.before.of(target.value) != image.before.files.end()) named_twice_ = target.value;
    note_owner_of_target();
    damaged_.poke(field.at, target.value);
    if (sealed && field.seal) field.seal(damaged_);
    seen_before_ = take_snapshot(damaged_.path(), kept_from_others_);
  }

  std::string judge(bool cut, const std::filesystem::path& keep) {
    const auto opened = Image::open(damaged_.path());
    const RepairPlan plan = plan_at_fixed_time(*opened, RepairPolicy::all);
    check_found(plan.before.findings);
    mended_ = damaged_.copy();
    apply(*mended_, plan);
    check_consistent(plan);
    const TreeSnapshot after = take_snapshot(mended_->path(), kept_from_others_);
    check_complete(plan, after);
    check_nobody_sees(after);
    check_untouched(plan, after);
    check_safe(*opened);
    if (cut) check_cut_off(plan, after);
    if (!keep.empty()) std::filesystem::copy_file(mended_->path(), keep);
    if (complaints_.empty()) return {};
    if (!keep.empty()) std::filesystem::copy_file(damaged_.path(), keep.native() + ".damaged");
    std::string details = "  findings:\n" + beginning_of(plan.before.findings) + "  after:\n" + beginning_of(plan.after.findings);
    for (size_t i = 0; i < std::min(plan.losses.size(), kMostShown); ++i) {
      const Loss& l = plan.losses[i];
      details += fmt::format("  loss: {} {} {}: {} {}\n", info(l.problem).code, l.path, l.inode, l.what,
                             l.bytes ? fmt::format("{}-{}", l.bytes->first, l.bytes->end) : "");
    }
    return complaints_ + details;
  }

 private:
  static constexpr size_t kMostShown = 12;
  static std::string beginning_of(const std::vector<Finding>& findings) {
    return describe({findings.begin(), findings.begin() + static_cast<ptrdiff_t>(std::min(findings.size(), kMostShown))});
  }

  void complain(const std::string& what) { complaints_ += "  " + what + "\n"; }

  // What lies in the block that is named now, and may be seen by its owner alone; the file system's own is root's.
  void note_owner_of_target() {
    if (target_.value == 0 || target_.value >= sound_.image.size() / sound_.image.block_size() || target_.name == "a free block")
      return;
    const auto use = sound_.uses.find(target_.value);
    uint32_t uid = 0;
    if (use != sound_.uses.end())
      if (const auto file = sound_.before.of(use->second.inode); file != sound_.before.files.end()) uid = file->second.uid;
    std::vector<char> bytes(sound_.image.block_size());
    sound_.image.read(sound_.image.offset(target_.value), std::as_writable_bytes(std::span(bytes)));
    if (std::ranges::all_of(bytes, [](char c) { return c == 0; })) return;
    kept_from_others_.emplace(hash_of(bytes.data(), bytes.size()), uid);
  }

  void check_found(const std::vector<Finding>& findings) {
    const bool found = std::ranges::any_of(findings, [&](const Finding& f) {
      if (!field_.field.empty() && (f.field.contains(field_.field) || texts_of(f.evidence).found.contains(field_.field)))
        return true;
      if (f.inode && (involved_.contains(f.inode->value) || f.inode->value == target_.value)) return true;
      return f.block &&
             (f.block->value == field_.at / sound_.image.block_size() || (target_.value - f.block->value) < f.block_count);
    });
    if (!found) complain("not found at its place");
  }

  void check_consistent(const RepairPlan& plan) {
    if (!plan.proven_clean) complain("not proven clean");
    const Outcome judgement = mended_->e2fsck_report();
    if (judgement.status != 0 || judgement.output.contains("? no")) complain("e2fsck: " + judgement.output);
    const auto again = Image::open(mended_->path());
    const RepairPlan second = plan_at_fixed_time(*again, RepairPolicy::all);
    if (!second.overlay->staged().empty()) complain("a second scrub writes: " + describe(second.before.findings));
  }

  [[nodiscard]] bool is_reported(const RepairPlan& plan, uint32_t inode, const std::string& path,
                                 std::optional<uint64_t> logical) const {
    const uint64_t size = sound_.image.block_size();
    return std::ranges::any_of(plan.losses, [&](const Loss& l) {
      if (l.inode != InodeNo(inode) || l.path.empty()) return false;
      (void)path;
      return !logical || !l.bytes || (l.bytes->first <= *logical * size && *logical * size < l.bytes->end);
    });
  }

  // Everything of those that have nothing to do with it is as it was; the owner may have lost what is reported.
  void check_complete(const RepairPlan& plan, const TreeSnapshot& after) {
    if (!after.error.empty()) complain("cannot be read: " + after.error);
    for (const auto& [path, was] : sound_.before.files) {
      const auto now = after.files.find(path);
      if (was.inode == field_.inode && !field_.redundant)
        check_owner(plan, path, was, now == after.files.end() ? after.of(was.inode) : now, after);
      else if (loses_its_name(path, was))
        check_moved(plan, path, was, after);
      else if (now == after.files.end())
        complain(fmt::format("{} is gone; its inode {} is {}", path, was.inode,
                             after.of(was.inode) == after.files.end() ? "gone too" : after.of(was.inode)->first));
      else if (!(is_inode_named() && has_all_of(now->second, was)))
        compare(path, was, now->second);
    }
    for (const auto& [path, now] : after.files)
      if (!sound_.before.files.contains(path) && !was_named(now.inode))
        complain(fmt::format("{} is new (inode {})", path, now.inode));
  }

  // The field is an entry of that file, or of a directory above it: when nothing else tells of the name, it is lost.
  [[nodiscard]] bool loses_its_name(const std::string& path, const FileState& was) const {
    if (field_.involved.empty() && field_.kind != PointerField::Kind::directory_map) return false;
    std::set<uint32_t> all = involved_;
    all.insert(named_twice_);
    if (all.contains(was.inode)) return true;
    return std::ranges::any_of(all, [&](uint32_t ino) {
      const auto above = ino ? sound_.before.of(ino) : sound_.before.files.end();
      return above != sound_.before.files.end() && above->first != "/" && path.starts_with(above->first + "/");
    });
  }
  [[nodiscard]] bool is_inode_named() const { return !field_.involved.empty(); }
  [[nodiscard]] bool was_named(uint32_t ino) const {
    return std::ranges::any_of(sound_.before.files,
                               [&](const auto& f) { return f.second.inode == ino && loses_its_name(f.first, f.second); });
  }

  void check_moved(const RepairPlan& plan, const std::string& path, const FileState& was, const TreeSnapshot& after) {
    const auto at_place = after.files.find(path);
    const auto now = at_place != after.files.end() && at_place->second.inode == was.inode ? at_place : after.of(was.inode);
    const bool reported = std::ranges::any_of(plan.losses, [&](const Loss& l) {
      return l.inode == InodeNo(was.inode) || (l.inode && involved_.contains(l.inode.value));
    });
    if (now == after.files.end() || now->first != path) {
      if (!reported) return complain(path + " is not where it was, and that is not reported");
      if (now == after.files.end() && (was.size > 0 || LINUX_S_ISDIR(was.mode))) complain(path + " is gone");
      if (now == after.files.end()) return;  // an empty file without a name is nothing
    }
    if (!has_all_of(now->second, was)) compare(path, was, now->second);
  }

  void compare(const std::string& path, const FileState& was, const FileState& now) {
    if (now == was) return;
    std::string what;
    if (now.inode != was.inode) what += fmt::format(" inode {} for {}", now.inode, was.inode);
    if (now.uid != was.uid || now.mode != was.mode || now.links != was.links)
      what += fmt::format(" uid {}->{} mode {:o}->{:o} links {}->{}", was.uid, now.uid, was.mode, now.mode, was.links, now.links);
    if (now.size != was.size) what += fmt::format(" size {}->{}", was.size, now.size);
    if (now.blocks != was.blocks) what += " contents";
    if (now.target != was.target) what += " target";
    if (now.attributes != was.attributes) what += " attributes";
    complain(fmt::format("{} has changed:{}", path, what));
  }

  void check_owner(const RepairPlan& plan, const std::string& path, const FileState& was,
                   std::map<std::string, FileState>::const_iterator now, const TreeSnapshot& after) {
    const bool nothing_to_lose = target_.value == 0 || target_.name == "a free block";
    if (now == after.files.end()) {
      if (!is_reported(plan, was.inode, path, {})) complain(path + " is gone and not reported");
      return;
    }
    if (now->first != path && !is_reported(plan, was.inode, path, {})) complain(path + " has moved and is not reported");
    if (now->second.uid != was.uid || (now->second.mode != was.mode && !is_reported(plan, was.inode, path, {})))
      complain(path + " has another owner or mode");
    if (nothing_to_lose) return;
    // What a reader of the damaged image sees too is no loss by the repair.
    const auto before = seen_before_.of(was.inode);
    std::set<uint64_t> logical;
    for (const auto& [block, hash] : was.blocks) logical.insert(block);
    for (const auto& [block, hash] : now->second.blocks) logical.insert(block);
    const auto at = [](const FileState& f, uint64_t block) {
      const auto it = f.blocks.find(block);
      return it == f.blocks.end() ? 0 : it->second;
    };
    for (const uint64_t block : logical)
      if (at(was, block) != at(now->second, block) &&
          (before == seen_before_.files.end() || at(before->second, block) != at(now->second, block)) &&
          !is_reported(plan, was.inode, path, block))
        return complain(fmt::format("{} has changed in block {} and that is not reported", path, block));
    if (now->second.attributes != was.attributes && !is_reported(plan, was.inode, path, {}))
      complain(path + " has lost attributes and that is not reported");
  }

  void check_nobody_sees(const TreeSnapshot& after) {
    for (const std::string& leak : after.leaks) complain("LEAK: " + leak);
  }

  // No block of an inode that has nothing to do with it is written to.
  void check_untouched(const RepairPlan& plan, const TreeSnapshot& after) {
    const ext2_super_block super = sound_.image.superblock();
    std::set<uint32_t> may_change = {
        EXT2_RESIZE_INO,          super.s_usr_quota_inum, super.s_grp_quota_inum,     super.s_prj_quota_inum,
        super.s_orphan_file_inum, super.s_last_orphan,    sound_.inode("/lost+found")};
    // A group that is said to have a copy gets one; the journal goes elsewhere.
    if (field_.field == "s_backup_bgs") may_change.insert(EXT2_JOURNAL_INO);
    // An entry goes with what it names, and tells its type.
    if (const auto owner = sound_.before.of(field_.inode); owner != sound_.before.files.end()) {
      const auto now = after.files.find(owner->first);
      const std::string parent = owner->first.substr(0, std::max<size_t>(1, owner->first.rfind('/')));
      if (now == after.files.end() || now->second.mode != owner->second.mode) may_change.insert(sound_.inode(parent));
    }
    for (const StagedBlock& staged : plan.overlay->staged()) {
      const auto use = sound_.uses.find(staged.block.value);
      if (use == sound_.uses.end() || involved_.contains(use->second.inode) || may_change.contains(use->second.inode)) continue;
      if (staged.block.value == field_.at / sound_.image.block_size()) continue;
      complain(
          fmt::format("block {} of inode {} is written to (logical {})", staged.block, use->second.inode, use->second.logical));
    }
  }

  // But for the number of its links, which is that of the entries as they are.
  static bool has_all_of(FileState now, const FileState& was) {
    now.links = was.links;
    return now == was;
  }

  // Nothing new is wrong, and nobody has lost what he had.
  void check_safe(const Image& opened) {
    const RepairPlan plan = plan_at_fixed_time(opened, RepairPolicy::safe);
    std::set<FindingId> known;
    for (const Finding& f : plan.before.findings) known.insert(id_of(f));
    for (const Finding& f : plan.after.findings)
      if (info(f.problem).severity == Severity::error && f.problem != Problem::block_multiply_claimed &&
          !known.contains(id_of(f)))
        complain("safe repairs bring damage: " + describe({f}));
    if (plan.overlay->staged().empty()) return;
    const TestImage mended = damaged_.copy();
    apply(mended, plan);
    const TreeSnapshot after = take_snapshot(mended.path(), kept_from_others_);
    for (const auto& [path, was] : seen_before_.files) {
      const auto right = sound_.before.files.find(path);
      const auto now = after.files.find(path);
      if (right != sound_.before.files.end() && was == right->second &&
          (now == after.files.end() || !has_all_of(now->second, was)))
        complain("safe repairs cost " + path);
    }
    for (const std::string& leak : after.leaks)
      if (std::ranges::find(seen_before_.leaks, leak) == seen_before_.leaks.end()) complain("LEAK by safe repairs: " + leak);
    if (plan.proven_clean && mended.e2fsck() != 0)
      complain("e2fsck after safe repairs that are proven clean: " + mended.e2fsck_report().output);
  }

  // Cut off behind each of its writes, and begun again, the repair ends where it ends in one go.
  void check_cut_off(const RepairPlan& plan, const TreeSnapshot& whole) {
    const auto staged = plan.overlay->staged();
    std::vector<size_t> order(staged.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const uint64_t held = kSuperblockOffset / sound_.image.block_size();
    std::erase_if(order, [&](size_t i) { return staged[i].block.value == held; });
    if (plan.waves.size() == staged.size()) std::ranges::stable_sort(order, {}, [&](size_t i) { return plan.waves[i]; });
    const TestImage half = damaged_.copy();
    for (size_t done = 0; done < order.size(); ++done) {
      half.write(half.offset(staged[order[done]].block.value), staged[order[done]].after);
      const auto opened = Image::open(half.path());
      const RepairPlan rest = plan_at_fixed_time(*opened, RepairPolicy::all);
      const TestImage end = half.copy();
      apply(end, rest);
      const TreeSnapshot now = take_snapshot(end.path(), kept_from_others_);
      const std::string where =
          fmt::format("cut off behind write {} of {} (block {}): ", done + 1, order.size(), staged[order[done]].block);
      if (!rest.proven_clean) complain(where + "not proven clean:\n" + describe(rest.after.findings));
      for (const std::string& leak : now.leaks) complain(where + "LEAK: " + leak);
      if (now.files != whole.files) complain(where + difference(whole, now));
    }
  }

  static std::string difference(const TreeSnapshot& a, const TreeSnapshot& b) {
    std::string what;
    for (const auto& [path, file] : a.files)
      if (!b.files.contains(path))
        what += path + " is gone; ";
      else if (!(b.files.at(path) == file))
        what += path + " differs; ";
    for (const auto& [path, file] : b.files)
      if (!a.files.contains(path)) what += path + " is new; ";
    return what;
  }

  const PointerImage& sound_;
  const PointerField& field_;
  const PointerTarget& target_;
  TestImage damaged_;
  std::optional<TestImage> mended_;
  std::set<uint32_t> involved_;
  uint32_t named_twice_ = 0;
  std::map<size_t, uint32_t> kept_from_others_;
  TreeSnapshot seen_before_;  // of the damaged image
  std::string complaints_;
};

std::filesystem::path kept_image(const std::string& name, size_t row) {
  const char* directory = std::getenv("EXTSCRUB_KEEP_IMAGES");
  return directory ? std::filesystem::path(directory) / fmt::format("{}-{:04}.img", name, row) : std::filesystem::path();
}

struct Kind {
  const char* name;
  std::vector<std::string> options;
  const char* size;
  size_t one_in;  // rows that are looked at
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"ext2", {"-t", "ext2", "-b", "1024", "-N", "256", "-g", "4096"}, "8M", 31},
      {"ext3", {"-t", "ext3", "-b", "1024", "-J", "size=1", "-N", "256", "-g", "4096"}, "8M", 7},
      {"ext4",
       {"-t", "ext4", "-b", "1024", "-J", "size=1", "-N", "256", "-g", "4096", "-O", "quota,project,ea_inode,orphan_file", "-E",
        "quotatype=usrquota:grpquota:prjquota"},
       "8M",
       7},
      {"ext4-super2",
       {"-t", "ext4", "-b", "1024", "-J", "size=1", "-N", "256", "-g", "2048", "-O", "sparse_super2,^resize_inode"},
       "8M",
       37},
      {"ext4-bigalloc", {"-t", "ext4", "-b", "1024", "-J", "size=1", "-N", "256", "-O", "bigalloc", "-C", "4096"}, "16M", 11},
  };
  return all;
}

const PointerImage& image_of(const Kind& kind) {
  static std::map<std::string, PointerImage> made;
  auto it = made.find(kind.name);
  if (it == made.end()) it = made.emplace(kind.name, make_pointer_image(kind.name, kind.options, kind.size)).first;
  return it->second;
}

std::string judge_row(const PointerImage& image, const PointerField& field, const PointerTarget& target, bool sealed,
                      size_t row) {
  const std::string what =
      fmt::format("{}{}: {} at {} ({})", image.name, sealed ? "" : ", not sealed", field.name, target.name, target.value);
  std::string complaints;
  try {
    const auto kept =
        kept_image(fmt::format("{}{}-{}", image.name, sealed ? "" : "-unsealed", field.field.empty() ? "" : field.field), row);
    complaints = Row(image, field, target, sealed).judge(whole_table() || row % kOneCutIn == 0, kept);
  } catch (const std::exception& e) {
    // What no copy tells is not guessed, and nothing is written.
    if (field.field != "s_first_data_block") complaints = fmt::format("  {}\n", e.what());
  }
  if (complaints.empty()) return {};
  std::printf("%s\n%s", what.c_str(), complaints.c_str());  // as it is: what Catch2 shows is folded
  return what + "\n";
}

}  // namespace

void judge_table(FieldsOf fields, TargetsOf targets) {
  static size_t row = 0;
  std::string broken;
  const size_t before = row;
  for (const Kind& kind : kinds()) {
    if (const char* only = std::getenv("EXTSCRUB_TABLE_KIND"); only && std::string_view(only) != kind.name) continue;
    const PointerImage& image = image_of(kind);
    const bool checksums = image.image.superblock().s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
    size_t n = 0;
    for (const PointerField& field : fields(image))
      for (const PointerTarget& target : targets(image, field)) {
        if (image.image.peek<uint32_t>(field.at) == target.value) continue;
        for (const bool sealed : {true, false}) {
          if (!sealed && !(checksums && field.seal)) continue;
          if (n++ % kind.one_in == 0 || whole_table()) broken += judge_row(image, field, target, sealed, row++);
        }
      }
  }
  std::printf("%zu rows\n", row - before);
  INFO("rows that break promises, which are above:\n" << broken);
  CHECK(row > before);
  CHECK(broken.empty());
}

}  // namespace extscrub::test
