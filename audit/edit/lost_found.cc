#include "audit/edit/lost_found.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "audit/edit/directory_editor.h"
#include "audit/edit/inode_allocator.h"
#include "audit/stage/free_name.h"
#include "audit/stage/inline_directory.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

constexpr const char* kName = "lost+found";

uint8_t stored_type(const RepairRound& round, uint8_t type) {
  return round.geometry().has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE) ? type : uint8_t{0};
}

DirName make_name(const RepairRound& round, std::string name, InodeNo ino, uint8_t type) {
  DirName n;
  n.name = std::move(name);
  n.inode = ino;
  n.type = stored_type(round, type);
  return n;
}

// What hides names in it would be written over.
bool is_damaged(const RepairRound& round, const Directory& d) {
  return d.is(Directory::unconnected) || d.is(Directory::adrift) || (d.is(Directory::incomplete) && !round.lossy());
}

// An empty directory of root's, without blocks yet.
void make_directory_inode(const RepairRound& round, InodeNo ino, MutableBytes raw) {
  const Geometry& g = round.geometry();
  leave_inode(g, ino, raw);
  store(raw, offsetof(ext2_inode, i_mode), static_cast<uint16_t>(S_IFDIR | 0700));
  store(raw, offsetof(ext2_inode, i_links_count), uint16_t{2});
  for (const size_t time : {offsetof(ext2_inode, i_atime), offsetof(ext2_inode, i_ctime), offsetof(ext2_inode, i_mtime)})
    store(raw, time, round.now);
  if (g.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return;
  const uint16_t most = static_cast<uint16_t>(g.inode_size - EXT2_GOOD_OLD_INODE_SIZE);
  const uint16_t usual = sizeof(ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
  store(raw, offsetof(ext2_inode_large, i_extra_isize), std::min(most, usual));
  store(raw, offsetof(ext2_inode_large, i_crtime), round.now);
}

// Nothing when it cannot be made.
Result<InodeNo> make_directory(RepairRound& round) {
  const auto fresh = allocate_inode(round, InodeNo(EXT2_ROOT_INO));
  if (!fresh || !*fresh) return fresh;
  auto raw = edit_inode(round.fs(), round.overlay, *fresh);
  if (!raw) return std::unexpected(raw.error());
  make_directory_inode(round, *fresh, *raw);
  auto editor = DirectoryEditor::open(round, *fresh);
  if (!editor) return std::unexpected(editor.error());
  editor->lay_out();
  auto stored = editor->store();
  if (!stored) return std::unexpected(stored.error());
  if (*stored) return fresh;
  std::ranges::fill(*raw, std::byte{0});
  return InodeNo();
}

// Enters a new lost+found into the root; what has the name and cannot be used is renamed.
Result<InodeNo> make_lost_found(RepairRound& round, InodeNo unusable) {
  const DirectoryTable& table = round.run.scan->directories;
  const uint32_t root = table.find(InodeNo(EXT2_ROOT_INO));
  if (root == table.directories.size() || table.directories[root].is(Directory::encrypted)) return InodeNo();
  if (is_damaged(round, table.directories[root]) || (unusable && !round.may(Problem::lost_found_invalid))) return InodeNo();
  auto editor = DirectoryEditor::open(round, InodeNo(EXT2_ROOT_INO));
  if (!editor) return std::unexpected(editor.error());
  const DirHasher hasher(round.fs().super);
  FreeNames names(hasher, editor->folded());
  editor->for_each([&](const DirName& n) { (void)names.take(n.name); });
  std::string moved_to;
  editor->for_each([&](DirName& n) {
    if (n.name != kName || n.inode != unusable) return;
    n.name = moved_to = names.choose(kName);
    editor->changed(n, true);
  });
  const auto fresh = make_directory(round);
  if (!fresh || !*fresh) return fresh;
  editor->add(make_name(round, kName, *fresh, EXT2_FT_DIR));
  auto stored = editor->store();
  if (!stored) return std::unexpected(stored.error());
  if (!*stored) {
    auto raw = edit_inode(round.fs(), round.overlay, *fresh);
    if (!raw) return std::unexpected(raw.error());
    std::ranges::fill(*raw, std::byte{0});
    return InodeNo();
  }
  if (!moved_to.empty()) {
    Finding cause;
    cause.problem = Problem::lost_found_invalid;
    cause.inode = unusable;
    cause.path = fmt::format("/{}", kName);
    round.lose(cause, fmt::format("renamed to /{}", moved_to));
  }
  return fresh;
}

Result<InodeNo> find_or_make(RepairRound& round) {
  const DirectoryTable& table = round.run.scan->directories;
  const InodeNo ino = round.run.directories.lost_found;
  if (!ino) return make_lost_found(round, ino);
  const uint32_t index = table.find(ino);
  if (index == table.directories.size() || table.directories[index].is(Directory::encrypted)) return make_lost_found(round, ino);
  return is_damaged(round, table.directories[index]) ? InodeNo() : ino;
}

// The names of the first `inodes`, stored; nothing when there is no space for so many.
Result<std::vector<std::string>> enter(RepairRound& round, InodeNo lost_found, std::span<const InodeNo> inodes) {
  auto editor = DirectoryEditor::open(round, lost_found);
  if (!editor) return std::unexpected(editor.error());
  const DirHasher hasher(round.fs().super);
  FreeNames taken(hasher, editor->folded());
  editor->for_each([&](const DirName& n) { (void)taken.take(n.name); });
  std::vector<std::string> names;
  for (const InodeNo ino : inodes) {
    std::string name = fmt::format("#{}", ino);
    if (!taken.take(name)) name = taken.choose(name);
    names.push_back(name);
    editor->add(make_name(round, std::move(name), ino, round.run.scan->links.type(ino)));
  }
  auto stored = editor->store();
  if (!stored) return std::unexpected(stored.error());
  if (!*stored) names.clear();
  return names;
}

}  // namespace

Result<Attached> attach(RepairRound& round, std::span<const InodeNo> inodes) {
  Attached result;
  if (inodes.empty()) return result;
  const auto lost_found = find_or_make(round);
  if (!lost_found) return std::unexpected(lost_found.error());
  if (!*lost_found) return result;
  result.lost_found = *lost_found;
  // When there is no space for all, there may be some for fewer.
  for (size_t count = inodes.size(); count > 0 && result.names.empty(); count /= 2) {
    auto names = enter(round, *lost_found, inodes.first(count));
    if (!names) return std::unexpected(names.error());
    result.names = std::move(*names);
  }
  return result;
}

}  // namespace extscrub
