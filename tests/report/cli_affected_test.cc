// --affected: the list of files that are touched or lost.

#include "cli/report/affected.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

Finding of_file(uint32_t inode, std::string path, std::optional<uint64_t> logical = {}, uint64_t count = 1) {
  Finding f = at_inode(Problem::inode_mode, inode);
  f.path = std::move(path);
  f.logical = logical;
  f.block_count = count;
  return f;
}

ImageReport report_of_files(std::vector<Finding> findings) {
  ImageReport image;
  image.path = "a.img";
  image.info.emplace().block_size = 1024;
  image.findings = std::move(findings);
  return image;
}

}  // namespace

TEST_CASE("a line has path, bytes, what happened and the image", "[affected]") {
  CHECK(affected_lines(report_of_files({of_file(12, "/b", 3, 2), of_file(13, "/a")})) ==
        "/a\t-\t-\ttouched\ta.img\n"
        "/b\t3072\t5120\ttouched\ta.img\n");
}

TEST_CASE("ranges that touch each other are one, and what is not known comes first", "[affected]") {
  CHECK(affected_lines(report_of_files({of_file(12, "/b", 9), of_file(12, "/b", 3, 2), of_file(12, "/b"), of_file(12, "/b", 5),
                                        of_file(12, "/b", 3), of_file(12, "/b")})) ==
        "/b\t-\t-\ttouched\ta.img\n"
        "/b\t3072\t6144\ttouched\ta.img\n"
        "/b\t9216\t10240\ttouched\ta.img\n");
}

TEST_CASE("a name cannot make a second line or a second column", "[affected]") {
  ImageReport image = report_of_files({of_file(12, "/a\nb\tc\xff")});
  image.path = "x\ny";
  CHECK(affected_lines(image) == "/a\\nb\\tc\\xff\t-\t-\ttouched\tx\\ny\n");
}

TEST_CASE("files without a path have their number, notes and groups no line", "[affected]") {
  Finding group = finding(Problem::block_bitmap_mismatch);
  group.group = GroupNo(1);
  CHECK(affected_lines(report_of_files({group, at_inode(Problem::superblock_past_errors, 20), at_inode(Problem::inode_mode, 12),
                                        at_inode(Problem::inode_mode, 2)})) ==
        "/\t-\t-\ttouched\ta.img\n"
        "<inode 12>\t-\t-\ttouched\ta.img\n");
}

TEST_CASE("the file that an entry names is touched, though its inode is gone", "[affected]") {
  Finding entry = at_inode(Problem::entry_inode_unused, 12);
  entry.path = "/dir";
  entry.entry = EntryPlace{InodeNo(20), 24, "gone"};
  Finding dot = at_inode(Problem::directory_dot, 12);
  dot.path = "/dir";
  dot.entry = EntryPlace{InodeNo(2), 12, ".."};
  Finding top = entry;
  top.path = "/";
  CHECK(affected_lines(report_of_files({entry, dot, top})) ==
        "/\t-\t-\ttouched\ta.img\n"
        "/dir\t-\t-\ttouched\ta.img\n"
        "/dir/gone\t-\t-\ttouched\ta.img\n"
        "/gone\t-\t-\ttouched\ta.img\n");
}

TEST_CASE("what a repair lets go of is lost, what it moves is not", "[affected]") {
  ImageReport image = report_of_files({});
  image.repairs.emplace();
  image.repairs->losses = {{Problem::extent_header, InodeNo(12), "/a", "cut", ByteRange{4096, 8192}},
                           {Problem::inode_mode, InodeNo(13), "/b", "cleared", {}},
                           {Problem::entry_policy, InodeNo(14), "/c", "moved to lost+found/#14", {}},
                           {Problem::journal_not_empty, InodeNo(), "", "log emptied", {}}};
  CHECK(affected_lines(image) ==
        "/a\t4096\t8192\tlost\ta.img\n"
        "/b\t-\t-\tlost\ta.img\n"
        "/c\t-\t-\ttouched\ta.img\n");
}

TEST_CASE("the list is in its file after a run, with all images in it", "[affected]") {
  const TempDir dir;
  const std::string first = write_ext_like(dir.path() / "first.img"), second = write_ext_like(dir.path() / "second.img");
  const std::string list = dir.path() / "list";
  Tool tool;
  answer_audits_with(tool, audit_with(Verdict::damaged, {of_file(12, "/a")}));
  CHECK(tool({"audit", "--affected", list, first, second}) == 4);
  CHECK(read_file(list) == "/a\t-\t-\ttouched\t" + first + "\n/a\t-\t-\ttouched\t" + second + "\n");
  answer_audits_with(tool, audit_with(Verdict::clean));
  CHECK(tool({"audit", "--affected", list, first}) == 0);
  CHECK(read_file(list).empty());
}

TEST_CASE("the list says what it leaves out, and that it cannot be written", "[affected]") {
  const TempDir dir;
  const std::string image = write_ext_like(dir.path() / "a.img");
  Tool tool;
  Audit audit = audit_with(Verdict::damaged, {of_file(12, "/a")});
  audit.past = {{Problem::inode_mode, RepairState::none, 7}};
  answer_audits_with(tool, audit);
  CHECK(tool({"audit", "--affected", dir.path() / "list", image}) == 4);
  CHECK(tool.said("warning: 7 findings past --max-findings are not in "));
  CHECK(tool({"audit", "--affected", dir.path() / "none" / "list", image}) == 8);
  CHECK(tool.printed().empty());
  CHECK(tool({"audit", "--affected", image, image}) == 16);
  CHECK(tool.said("--affected would replace image"));
}
