// Writes that were lost or went elsewhere: images with a past of which blocks are put back, and what is made of that.
#include "audit/lost/lost_writes.h"

#include <fmt/format.h>

#include <functional>

#include "scan/format/checksum.h"
#include "tests/cli/cli_support.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/support/past_image.h"
#include "tests/support/recovered.h"

namespace extscrub::test {

namespace {

using BlockNumbers = std::set<uint64_t>;
using Steps = std::vector<std::string>;

// What the kernel does in two mounts. All kinds of blocks are changed by both.
const Steps kFirstMount = {
    "mkdir /dir/first",
    "sif /dir ctime NOW",
    "sif /small mode 0100600",
    "sif /small ctime NOW",
    "punch /runs10 256 260",
    "sif /runs10 ctime NOW",
    "punch /big 100 120",
    "sif /big ctime NOW",
    "ea_set /small user.note " + std::string(300, 'a'),
    "symlink /first " + std::string(200, 'f'),
    "sif / ctime NOW",
};
const Steps kSecondMount = {
    "mkdir /dir/second",
    "sif /dir ctime NOW",
    "sif /small mode 0100640",
    "sif /small ctime NOW",
    "punch /runs10 384 390",
    "sif /runs10 ctime NOW",
    "punch /big 200 220",
    "sif /big ctime NOW",
    "ea_set /small user.note " + std::string(300, 'b'),
    "symlink /second " + std::string(200, 's'),
    "sif / ctime NOW",
};
const Steps kTouch = {"sif /small mode 0100640", "sif /small ctime NOW"};

PastImage with_past(std::string_view feature_set, bool first_is_logged, const LogFormat& format = kLogWithSums) {
  PastImage past(TestImage(feature_set), format);
  if (first_is_logged)
    past.write(kFirstMount);
  else
    past.write_offline(kFirstMount);
  past.write(kSecondMount);
  return past;
}

uint64_t table_of(const TestImage& image, const std::string& path) {
  return image.inode_offset(image.inode_of(path)) / image.block_size();
}

uint64_t attributes_of(const TestImage& image, const std::string& path) {
  return image.peek<uint32_t>(image.inode_offset(image.inode_of(path)) + offsetof(ext2_inode, i_file_acl));
}

uint64_t extent_leaf_of(const TestImage& image, const std::string& path) {
  return image.peek<ext3_extent_idx>(image.map_offset(image.inode_of(path)) + sizeof(ext3_extent_header)).ei_leaf;
}

uint64_t indirect_of(const TestImage& image, const std::string& path) {
  return image.peek<uint32_t>(image.map_offset(image.inode_of(path)) + EXT2_IND_BLOCK * sizeof(uint32_t));
}

uint64_t changed_bitmap(const PastImage& past, bool of_inodes) {
  const TestImage& image = past.image();
  for (uint32_t group = 0; group < 4; ++group)
    if (const uint64_t block = of_inodes ? image.inode_bitmap(group) : image.block_bitmap(group); past.changed().contains(block))
      return block;
  return 0;
}

struct Kind {
  const char* name;
  const char* feature_set;
  std::function<uint64_t(const PastImage&)> block;
  bool others_speak;  // without an older copy in the log
};

const std::vector<Kind>& kinds_of_blocks() {
  static const std::vector<Kind> kinds = {
      {"inode table", "ext4-1k", [](const PastImage& p) { return table_of(p.image(), "/runs10"); }, true},
      {"inode table without checksums", "ext4-plain", [](const PastImage& p) { return table_of(p.image(), "/runs10"); }, true},
      {"inode bitmap", "ext4-1k", [](const PastImage& p) { return changed_bitmap(p, true); }, true},
      {"block bitmap", "ext4-1k", [](const PastImage& p) { return changed_bitmap(p, false); }, true},
      {"block bitmap without checksums", "ext4-plain", [](const PastImage& p) { return changed_bitmap(p, false); }, true},
      {"descriptors", "ext4-1k", [](const PastImage& p) { return p.image().descriptor_offset(0) / p.image().block_size(); },
       true},
      {"directory", "ext4-1k", [](const PastImage& p) { return p.image().block_of("/"); }, true},
      {"directory without checksums", "ext3-1k", [](const PastImage& p) { return p.image().block_of("/"); }, true},
      {"extent leaf", "ext4-1k", [](const PastImage& p) { return extent_leaf_of(p.image(), "/runs10"); }, true},
      {"indirect block", "ext3-1k", [](const PastImage& p) { return indirect_of(p.image(), "/big"); }, true},
      {"attributes", "ext4-1k", [](const PastImage& p) { return attributes_of(p.image(), "/small"); }, false},
  };
  return kinds;
}

bool is_of_lost_writes(const Finding& f) {
  return f.problem == Problem::metadata_write_lost || f.problem == Problem::metadata_write_perhaps_lost ||
         f.problem == Problem::metadata_block_misplaced;
}

std::vector<Finding> lost_in(const Audit& audit) {
  std::vector<Finding> lost;
  std::ranges::copy_if(audit.findings, std::back_inserter(lost), is_of_lost_writes);
  return lost;
}

BlockNumbers blocks_with(const Audit& audit, Problem problem) {
  BlockNumbers blocks;
  for (const Finding& f : audit.findings)
    if (f.problem == problem) blocks.insert(f.block->value);
  return blocks;
}

void check_no_alarm(const TestImage& image) {
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(lost_in(audit).empty());
}

// A scrub brings back, byte for byte, what the last write left; nothing is lost by that.
void check_brought_back(const PastImage& past) {
  const TestImage& image = past.image();
  {
    const Image opened = *Image::open(image.path());
    const RepairPlan plan = plan_of(opened);
    INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
    CHECK(plan.proven_clean);
    CHECK(plan.losses.empty());
    for (const Finding& f : plan.before.findings) CHECK(f.repair == RepairState::staged);
    apply(image, plan);
  }
  CHECK(past.not_as_written() == BlockNumbers());
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
  CHECK(audit_of(image).verdict == Verdict::clean);
}

uint64_t free_table_block(const TestImage& image) { return image.descriptor(0).bg_inode_table + 100; }

void write_block(const TestImage& image, uint64_t block, Bytes bytes) { image.write(image.offset(block), bytes); }

std::vector<std::byte> read_block(const TestImage& image, uint64_t block) {
  std::vector<std::byte> bytes(image.block_size());
  image.read(image.offset(block), bytes);
  return bytes;
}

}  // namespace

TEST_CASE("images with a past are sound", "[lost]") {
  for (const char* set : {"ext4-1k", "ext4-plain", "ext3-1k"}) {
    for (const bool logged : {true, false}) {
      INFO(set);
      const PastImage past = with_past(set, logged);
      CHECK(past.image().e2fsck() == 0);
      const Audit audit = audit_of(past.image());
      INFO(describe(audit.findings));
      CHECK(audit.verdict == Verdict::clean);
      CHECK(audit.findings.empty());
      CHECK(audit.statistics.history.transactions == (logged ? 2 : 1));
      CHECK(audit.statistics.history.since == past.seconds() - (logged ? 1000 : 0));
    }
  }
}

TEST_CASE("lost write of every kind of block, of which the journal has what lies in place", "[lost]") {
  for (const Kind& kind : kinds_of_blocks()) {
    INFO(kind.name);
    const PastImage past = with_past(kind.feature_set, true);
    const uint64_t block = kind.block(past);
    REQUIRE(past.changed().contains(block));
    past.lose(block);
    REQUIRE(past.not_as_written() == BlockNumbers{block});
    const Audit audit = audit_of(past.image());
    INFO(describe(audit.findings));
    CHECK(audit.verdict == Verdict::damaged);
    const std::vector<Finding> lost = lost_in(audit);
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].problem == Problem::metadata_write_lost);
    CHECK(lost[0].block == BlockNo(block));
    CHECK(texts_of(lost[0].evidence)
              .found.starts_with(fmt::format("what was there after transaction {} of 20", past.sequence() - 1)));
    CHECK(texts_of(lost[0].evidence)
              .expected.starts_with(fmt::format("what the journal has of transaction {} of 20", past.sequence())));
    check_brought_back(past);
  }
}

TEST_CASE("lost write of every kind of block, for which others speak", "[lost]") {
  for (const Kind& kind : kinds_of_blocks()) {
    INFO(kind.name);
    const PastImage past = with_past(kind.feature_set, false);
    const uint64_t block = kind.block(past);
    past.lose(block);
    const Audit audit = audit_of(past.image());
    INFO(describe(audit.findings));
    if (!kind.others_speak) {
      CHECK(audit.findings.empty());
      continue;
    }
    const std::vector<Finding> lost = lost_in(audit);
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].problem == Problem::metadata_write_lost);
    CHECK(lost[0].block == BlockNo(block));
    CHECK(texts_of(lost[0].evidence).found.starts_with("an older version"));
    check_brought_back(past);
  }
}

TEST_CASE("blocks that were written for the first time", "[lost]") {
  struct First {
    const char* name;
    std::function<uint64_t(const PastImage&)> block;
  };
  const First kBlocks[] = {
      {"target of a link", [](const PastImage& p) { return p.image().block_of("/second"); }},
      {"directory", [](const PastImage& p) { return p.image().block_of("/dir/second"); }},
      {"attributes", [](const PastImage& p) { return attributes_of(p.image(), "/other"); }},
  };
  for (const First& first : kBlocks) {
    INFO(first.name);
    PastImage past(TestImage("ext4-1k"));
    Steps steps = kSecondMount;
    steps.push_back("ea_set /other user.note " + std::string(300, 'c'));
    past.write(steps);
    past.lose(first.block(past));
    const Audit audit = audit_of(past.image());
    INFO(describe(audit.findings));
    CHECK(blocks_with(audit, Problem::metadata_write_lost) == BlockNumbers{first.block(past)});
    check_brought_back(past);
  }
}

TEST_CASE("several lost writes at once", "[lost]") {
  using Pick = std::vector<size_t>;  // of the kinds
  const Pick kPicks[] = {{0, 6}, {0, 8}, {2, 3}, {3, 5}, {5, 6, 8}, {0, 2, 3, 5, 6, 8, 10}};
  for (const bool logged : {true, false}) {
    for (const Pick& pick : kPicks) {
      const PastImage past = with_past("ext4-1k", logged);
      BlockNumbers lost;
      std::string names;
      for (const size_t i : pick) {
        const Kind& kind = kinds_of_blocks()[i];
        if (!logged && !kind.others_speak) continue;
        names += std::string(kind.name) + ", ";
        lost.insert(kind.block(past));
      }
      INFO(names << (logged ? "logged before" : ""));
      for (const uint64_t block : lost) past.lose(block);
      const Audit audit = audit_of(past.image());
      INFO(describe(audit.findings));
      CHECK(blocks_with(audit, Problem::metadata_write_lost) == lost);
      check_brought_back(past);
    }
  }
}

TEST_CASE("every write of the last transaction was lost", "[lost]") {
  for (const char* set : {"ext4-1k", "ext4-plain", "ext3-1k"}) {
    INFO(set);
    const PastImage past = with_past(set, true);
    for (const uint64_t block : past.changed()) past.lose(block);
    check_brought_back(past);
  }
}

TEST_CASE("lost writes in every format of a log", "[lost]") {
  for (const LogFormat& format : log_formats()) {
    INFO("version " << format.version << ", compat " << format.compat << ", incompat " << format.incompat);
    const PastImage past = with_past("ext4-plain", true, format);
    const BlockNumbers lost = {table_of(past.image(), "/runs10"), extent_leaf_of(past.image(), "/runs10")};
    for (const uint64_t block : lost) past.lose(block);
    CHECK(blocks_with(audit_of(past.image()), Problem::metadata_write_lost) == lost);
    check_brought_back(past);
  }
}

TEST_CASE("block for which its times alone speak: a warning, and put back only when that is asked for", "[lost]") {
  for (const char* set : {"ext4-1k", "ext4-plain"}) {
    INFO(set);
    PastImage past(TestImage{std::string_view(set)});
    past.write(kTouch);
    const uint64_t block = table_of(past.image(), "/small");
    past.lose(block);
    const Audit audit = audit_of(past.image());
    INFO(describe(audit.findings));
    REQUIRE(audit.findings.size() == 1);
    CHECK(audit.findings[0].problem == Problem::metadata_write_perhaps_lost);
    CHECK(audit.findings[0].block == BlockNo(block));
    CHECK(texts_of(audit.findings[0].evidence).found ==
          fmt::format("an older version; inode {} is older", past.image().inode_of("/small")));
    CHECK(audit.verdict == Verdict::clean);

    const Image opened = *Image::open(past.image().path());
    for (const RepairPolicy policy : {RepairPolicy::safe, RepairPolicy::all}) {
      const RepairPlan left = plan_of(opened, policy);
      CHECK(left.overlay->staged().empty());
      CHECK(left.after.findings.size() == 1);
    }
    AuditOptions options;
    options.restore_lost = true;
    const auto plan = plan_repairs(opened, RepairPolicy::safe, options);
    REQUIRE(plan);
    INFO(describe(plan->after.findings));
    CHECK(plan->proven_clean);
    CHECK(plan->after.findings.empty());
    apply(past.image(), *plan);
    CHECK(past.not_as_written() == BlockNumbers());
    CHECK(past.image().e2fsck() == 0);
  }
}

TEST_CASE("what time alone speaks for is believed when another write of its transaction was lost", "[lost]") {
  PastImage past(TestImage("ext4-1k"));
  past.write({"sif /small mode 0100640", "sif /small ctime NOW", "mkdir /dir/new"});
  const BlockNumbers lost = {table_of(past.image(), "/small"), past.image().block_of("/dir")};
  REQUIRE(table_of(past.image(), "/small") != table_of(past.image(), "/dir/new"));
  for (const uint64_t block : lost) past.lose(block);
  CHECK(blocks_with(audit_of(past.image()), Problem::metadata_write_lost) == lost);
  check_brought_back(past);
}

TEST_CASE("findings of lost writes are the same with any number of threads", "[lost]") {
  const PastImage past = with_past("ext4-1k", true);
  for (const uint64_t block : past.changed()) past.lose(block);
  const Audit one = audit_of(past.image(), 1), eight = audit_of(past.image(), 8);
  CHECK(describe(one.findings) == describe(eight.findings));
}

TEST_CASE("file system that was checked behind the transaction", "[lost]") {
  const PastImage past = with_past("ext4-1k", true);
  for (const Kind& kind : {kinds_of_blocks()[0], kinds_of_blocks()[6]}) past.lose(kind.block(past));
  const auto check_at = [&](uint64_t seconds) { past.image().debugfs(fmt::format("ssv lastcheck @{}", seconds)); };
  check_at(past.seconds() - 1);
  CHECK(lost_in(audit_of(past.image())).size() == 2);
  check_at(past.seconds());
  check_no_alarm(past.image());
  check_at(past.seconds() + 5);
  check_no_alarm(past.image());
}

TEST_CASE("newest copy that was revoked", "[lost]") {
  PastImage past = with_past("ext4-1k", true);
  const uint64_t link = past.image().block_of("/second"), table = table_of(past.image(), "/runs10");
  past.log({}, {link, table});
  for (const uint64_t block : {link, table})
    past.image().write(past.image().offset(block), std::vector<std::byte>(past.image().block_size()));
  check_no_alarm(past.image());
}

TEST_CASE("what others have written past the journal since", "[lost]") {
  const Steps kEdits[] = {
      {"sif /small mode 0100600", "sif /small ctime NOW"},
      {"sif /small mode 0100600"},
      {"mkdir /dir/third", "rm /dir/file3", "sif /dir ctime NOW"},
      {"punch /runs10 512 520", "rm /second"},
      {"ea_set /small user.note " + std::string(300, 'z'), "ea_rm /small user.none"},
      {"rmdir /dir/second"},
  };
  for (const Steps& steps : kEdits) {
    INFO(steps.front());
    PastImage past = with_past("ext4-1k", true);
    past.write_offline(steps);
    REQUIRE(past.image().e2fsck() == 0);
    const Audit audit = audit_of(past.image());
    INFO(describe(audit.findings));
    CHECK(audit.findings.empty());
  }
}

// `tune2fs -I` makes inodes longer, and moves files out of the way of tables that grow: the log has what was there before.
TEST_CASE("block of a log from before the inodes grew", "[lost]") {
  constexpr std::pair<size_t, uint8_t> kFormer[] = {
      {EXT2_GOOD_OLD_INODE_SIZE + 32, 0x41}, {offsetof(ext2_inode, i_faddr), 0x22}, {offsetof(ext2_inode, i_mode), 0x22}};
  for (const auto& [offset, byte] : kFormer) {
    INFO(offset);
    PastImage past(TestImage("ext4-plain"));
    const uint64_t at = past.image().inode_offset(past.image().inode_of("/small")), block = at / past.image().block_size();
    past.write({kTouch[0], kTouch[1],
                fmt::format("zap_block -o {} -l 2 -p {} {}", at % past.image().block_size() + offset, byte, block)});
    past.lose(block);
    check_no_alarm(past.image());
  }
}

TEST_CASE("damage in a block that the journal knows is damage, and no lost write", "[lost]") {
  const PastImage past = with_past("ext4-1k", true);
  const uint64_t leaf = past.image().block_of("/"), table = past.image().inode_offset(past.image().inode_of("/small"));
  past.image().fill(past.image().offset(leaf) + 500, 3, std::byte{0xEE});
  past.image().fill(table + offsetof(ext2_inode, i_mtime), 1, std::byte{0xEE});
  check_no_alarm(past.image());
}

TEST_CASE("writes that wait in the log are not lost", "[lost]") {
  const PastImage past = with_past("ext4-1k", true);
  for (const uint64_t block : past.changed()) past.lose(block);
  past.reopen();
  const Audit audit = audit_of(past.image());
  INFO(describe(audit.findings));
  CHECK(lost_in(audit).empty());
  CHECK(audit.verdict == Verdict::recoverable);
}

TEST_CASE("no history, no lost write", "[lost]") {
  for (const char* set : {"ext2-1k", "ext4-1group", "ext4-1k"}) {
    INFO(set);
    const TestImage image{std::string_view(set)};
    const TestImage before = image.copy();
    image.debugfs("mkdir /dir/new");
    write_block(image, image.block_of("/dir"), read_block(before, image.block_of("/dir")));
    const Audit audit = audit_of(image);
    CHECK(lost_in(audit).empty());
    CHECK(audit.verdict == Verdict::damaged);
    CHECK(audit.statistics.history.transactions == 0);
  }
  const PastImage past = with_past("ext4-1k", true);
  past.lose(past.image().block_of("/"));
  AuditOptions options;
  options.history = false;
  const auto audited = audit(*Image::open(past.image().path()), nullptr, options);
  REQUIRE(audited);
  CHECK(lost_in(*audited).empty());
  CHECK(audited->statistics.history.transactions == 0);
}

TEST_CASE("what may have been lost is a warning, and the run ends with 0", "[lost]") {
  PastImage past(TestImage("ext4-1k"));
  past.write(kTouch);
  const uint64_t block = table_of(past.image(), "/small");
  past.lose(block);
  Tool tool;
  CHECK(tool({"audit", past.image().path()}) == 0);
  CHECK(tool.printed("warning"));
  CHECK(tool.printed("metadata-write-lost"));
  CHECK(tool({"scrub", past.image().path()}) == 0);
  CHECK(past.not_as_written() == BlockNumbers{block});
}

TEST_CASE("scrub of lost writes leaves a true history, and its undo the lost writes", "[lost]") {
  for (const char* way : {"journal", "direct"}) {
    INFO(way);
    const PastImage past = with_past("ext4-1k", true);
    for (const Kind& kind : {kinds_of_blocks()[0], kinds_of_blocks()[6]}) past.lose(kind.block(past));
    const std::string image = past.image().path(), undo = image + ".undo";
    const std::string found = describe(lost_in(audit_of(past.image())));
    Tool tool;
    CHECK(tool({"scrub", std::string("--commit=") + way, "--undo-file", undo, image}) == 1);
    CHECK(past.not_as_written().empty());
    CHECK(tool({"audit", image}) == 0);
    CHECK(tool({"undo", undo, image}) == 0);
    CHECK(describe(lost_in(audit_of(past.image()))) == found);
  }
}

TEST_CASE("contents of files that went through the journal are nobody's lost write", "[lost]") {
  PastImage past(TestImage("ext4-1k"));
  const TestImage& image = past.image();
  const std::string file = image.path().parent_path() / "file";
  write_file(file, std::string(5000, 'x'));
  past.write({"write " + file + " /copied"});
  const uint64_t block = image.block_of("/copied", 2);
  REQUIRE(past.changed().contains(block));
  past.lose(block);
  const Audit audit = audit_of(image);
  CHECK(audit.findings.empty());
}

TEST_CASE("newest copy that makes it worse is not put back", "[lost]") {
  PastImage past(TestImage("ext4-1k"));
  past.write(kTouch);
  past.write({"sif /small blocks 77", "sif /small ctime NOW"});
  past.lose(table_of(past.image(), "/small"));
  const Image opened = *Image::open(past.image().path());
  const RepairPlan plan = plan_of(opened);
  INFO(describe(plan.before.findings));
  CHECK(plan.overlay->staged().empty());
}

TEST_CASE("two blocks of inode tables that were swapped", "[lost]") {
  for (const char* set : {"ext4-1k", "ext4-1group", "ext4-4k", "ext4-seed"}) {
    INFO(set);
    const TestImage image{std::string_view(set)};
    const uint64_t a = table_of(image, "/small"), b = table_of(image, "/dir/file1");
    REQUIRE(a != b);
    const auto left = read_block(image, a), right = read_block(image, b);
    write_block(image, a, right);
    write_block(image, b, left);
    const Audit audit = audit_of(image);
    INFO(describe(audit.findings));
    CHECK(blocks_with(audit, Problem::metadata_block_misplaced) == BlockNumbers{a, b});
    CHECK(blocks_with(audit, Problem::metadata_write_lost).empty());
    const Finding& finding = *std::ranges::find(audit.findings, BlockNo(a),
                                                [](const Finding& f) { return is_of_lost_writes(f) ? f.block : std::nullopt; });
    CHECK(texts_of(finding.evidence).expected == fmt::format("what lies in block {}", b));
    CHECK(texts_of(finding.evidence).found.starts_with(fmt::format("what belongs in block {}; inodes ", b)));
    const Image opened = *Image::open(image.path());
    const RepairPlan plan = plan_of(opened);
    CHECK(plan.proven_clean);
    CHECK(plan.losses.empty());
    apply(image, plan);
    CHECK(read_block(image, a) == left);
    CHECK(read_block(image, b) == right);
    CHECK(image.e2fsck() == 0);
  }
}

// What was to go to /small's block went to another, and the block has what was there before.
TEST_CASE("write that went to another block, of which the journal has what was there", "[lost]") {
  for (const bool older_copy : {true, false}) {
    PastImage past(TestImage("ext4-1k"));
    const Steps over = {"sif /dir/file9 mode 0100600", "sif /dir/file9 ctime NOW"};
    past.write(over);
    if (older_copy) past.write({"sif /small mode 0100600", "sif /small ctime NOW"});
    past.write(kTouch);
    const uint64_t home = table_of(past.image(), "/small"), other = table_of(past.image(), "/dir/file9");
    write_block(past.image(), other, past.block(home));
    past.lose(home);
    const Audit audit = audit_of(past.image());
    INFO(describe(audit.findings));
    CHECK(blocks_with(audit, Problem::metadata_block_misplaced) == BlockNumbers{other});
    CHECK(blocks_with(audit, Problem::metadata_write_lost) == BlockNumbers{home});
    check_brought_back(past);
  }
}

TEST_CASE("write that went to another block, of which nothing has what was there", "[lost]") {
  for (const bool logged : {true, false}) {
    INFO(logged);
    PastImage past(TestImage("ext4-1k"));
    if (logged) past.write(kTouch);
    const TestImage& image = past.image();
    const TestImage before = image.copy();
    if (!logged) image.debugfs("sif /small mode 0100640"), image.debugfs("sif /small ctime 20400101");
    const uint64_t home = table_of(image, "/small"), other = table_of(image, "/dir/file9");
    const auto right = past.block(home);
    write_block(image, other, right);
    if (logged)
      past.lose(home);
    else
      write_block(image, home, read_block(before, home));
    const Audit audit = audit_of(image);
    INFO(describe(audit.findings));
    CHECK(blocks_with(audit, Problem::metadata_write_lost) == BlockNumbers{home});
    // Every inode that was there has a finding, with its path.
    std::set<std::string> paths;
    for (const Finding& f : audit.findings)
      if (f.problem == Problem::metadata_block_misplaced) {
        CHECK(f.block == BlockNo(other));
        REQUIRE(f.inode);
        paths.insert(f.path);
      }
    CHECK(paths.size() == 4);
    CHECK(paths.contains("/dir/file9"));

    const Image opened = *Image::open(image.path());
    const RepairPlan plan = plan_of(opened);
    INFO(describe(plan.after.findings));
    CHECK_FALSE(plan.proven_clean);
    CHECK(blocks_with(plan.after, Problem::metadata_block_misplaced) == BlockNumbers{other});
    apply(image, plan);
    CHECK(past.block(home) == right);
    CHECK(past.block(other) == right);  // nothing there is made to fit
  }
}

TEST_CASE("write that went to another block, while what was in its own is gone too", "[lost]") {
  PastImage past(TestImage("ext4-1k"));
  past.write({"sif /dir/file9 mode 0100600", "sif /dir/file9 ctime NOW"});
  const TestImage& image = past.image();
  const uint64_t home = table_of(image, "/small"), other = table_of(image, "/dir/file9");
  write_block(image, other, past.block(home));
  image.fill(image.offset(home), image.block_size(), std::byte{0xEE});
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(blocks_with(audit, Problem::metadata_block_misplaced) == BlockNumbers{other});
  CHECK(blocks_with(audit, Problem::metadata_write_lost) == BlockNumbers{home});
  check_brought_back(past);
}

TEST_CASE("copy of a block in a place where none is in use", "[lost]") {
  const TestImage image("ext4-1k");
  const uint64_t home = table_of(image, "/small"), other = free_table_block(image);
  REQUIRE(read_block(image, other) == std::vector<std::byte>(image.block_size()));
  write_block(image, other, read_block(image, home));
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(blocks_with(audit, Problem::metadata_write_lost).empty());
}

TEST_CASE("lost write is found however few findings are kept", "[lost]") {
  const PastImage past = with_past("ext4-1k", true);
  past.lose(past.image().block_of("/"));
  const Image image = *Image::open(past.image().path());
  AuditOptions options;
  options.max_findings = 1;
  const Audit few = *audit(image, nullptr, options);
  CHECK(few.findings.size() == 1);
  CHECK(few.statistics.history.compared);
  uint64_t lost = lost_in(few).size();
  for (const FindingCount& past_limit : few.past)
    if (past_limit.problem == Problem::metadata_write_lost) lost += past_limit.count;
  CHECK(lost == 1);
}

}  // namespace extscrub::test
