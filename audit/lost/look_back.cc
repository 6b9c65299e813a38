#include "audit/lost/look_back.h"

#include <fmt/format.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <thread>

#include "audit/run/block_names.h"
#include "audit/stage/inline_directory.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/dir_block.h"
#include "scan/load/load_file_system.h"
#include "scan/map/block_map.h"

namespace extscrub {

namespace {

class LookBack {
 public:
  LookBack(const FileSystem& fs, const Overlay& overlay, const Journal& journal, const JournalHistory& history,
           const AuditOptions& options)
      : fs_(fs), overlay_(overlay), journal_(journal), history_(history), options_(options) {}

  Result<void> block(BlockNo block, Past& past) {
    if (!fs_.geometry.contains(block) && block.value != 0)
      return std::unexpected(Error{fmt::format("there is no block {}: the file system has {}", block, fs_.geometry.blocks)});
    past.asked.push_back(past_of(block));
    return name_all(past);
  }

  Result<void> inode(InodeNo ino, Past& past) {
    past.inode = ino;
    std::vector<std::byte> raw(fs_.geometry.inode_size);
    if (auto r = read_inode(fs_, ino, raw); !r) return r;
    const InodePlace place = place_of(fs_, ino);
    past.asked.push_back(past_of(place.block, Part{ino, place.offset}));
    for (const BlockNo block : blocks_of(Inode(fs_.geometry, ino, raw)))
      if (!history_.of(block).empty()) past.asked.push_back(past_of(block));
    return name_all(past);
  }

  // The inode that the path leads to; links are not followed.
  Result<InodeNo> find(std::string_view path) {
    InodeNo ino(EXT2_ROOT_INO);
    std::string_view left = path;
    while (true) {
      while (left.starts_with('/')) left.remove_prefix(1);
      if (left.empty()) return ino;
      const std::string_view name = left.substr(0, left.find('/'));
      left.remove_prefix(name.size());
      auto next = find_entry(ino, name);
      if (!next) return next;
      if (!*next) return std::unexpected(Error{fmt::format("there is no {}", path)});
      ino = *next;
    }
  }

 private:
  // The bytes of an inode in its block.
  struct Part {
    InodeNo inode;
    uint32_t offset = 0;
  };

  BlockPast past_of(BlockNo block, std::optional<Part> part = {}) {
    BlockPast past{block, {}, {}};
    std::vector<std::byte> before, bytes(fs_.geometry.block_size);
    const MetadataExtent* const kind = kind_of(block);
    const auto add = [&](BlockVersion version, const Result<void>& read) {
      if (!read) version.error = text_of(read.error());
      if (read && !before.empty())
        version.changes = part ? changes_of_part(*part, before, bytes) : changes_of(fs_, block, kind, before, bytes);
      // Of an inode the versions count in which it changed.
      const bool is_news = !part || version.in_place || !read || before.empty() || !version.changes.empty();
      if (read) before = bytes;
      if (is_news) past.versions.push_back(std::move(version));
    };
    for (const LoggedCopy& copy : history_.of(block)) {
      const LoggedTransaction& t = history_.transactions[copy.transaction];
      add({.sequence = t.sequence,
           .seconds = t.seconds,
           .nanoseconds = t.nanoseconds,
           .log_block = copy.log_block,
           .revoked = copy.revoked},
          read_copy(journal_, history_, copy, bytes));
    }
    if (!past.versions.empty()) add({.in_place = true}, overlay_.read(block, bytes));
    return past;
  }

  std::vector<VersionChange> changes_of_part(const Part& part, Bytes before, Bytes after) const {
    const size_t size = fs_.geometry.inode_size;
    const Bytes a = before.subspan(part.offset, size), b = after.subspan(part.offset, size);
    return std::ranges::equal(a, b) ? std::vector<VersionChange>() : changes_of_inode(fs_, part.inode, a, b);
  }

  const MetadataExtent* kind_of(BlockNo block) const {
    static constexpr MetadataExtent kPrimary{BlockNo(), 1, GroupNo(), MetadataKind::superblock};
    if (block.value == kSuperblockOffset / fs_.geometry.block_size) return &kPrimary;
    return fs_.metadata.find(block);
  }

  // Those that belong to the inode now, without contents of files: the log has none, or they are nothing that can be told.
  std::vector<BlockNo> blocks_of(const Inode& inode) {
    RunList list;
    if (inode.has_block_map() && inode.number().value != EXT2_RESIZE_INO) MapWalker(fs_).walk(inode, list);
    std::vector<BlockNo> blocks = std::move(list.nodes);
    if (inode.ea_block()) blocks.push_back(inode.ea_block());
    if (inode.type() == FileType::directory)
      for (const Run& run : list.runs)
        for (auto it = std::ranges::lower_bound(history_.copies, run.physical, {}, &LoggedCopy::block);
             it != history_.copies.end() && it->block < run.physical + run.count; ++it)
          blocks.push_back(it->block);
    std::ranges::sort(blocks);
    const auto [first, last] = std::ranges::unique(blocks);
    blocks.erase(first, last);
    return blocks;
  }

  static InodeNo find_in(Bytes area, uint32_t block_size, std::string_view name) {
    EntryWalk walk(area, block_size);
    while (const auto entry = walk.next())
      if (entry->inode && entry->name == name) return entry->inode;
    return InodeNo();
  }

  // 0: there is none.
  Result<InodeNo> find_entry(InodeNo directory, std::string_view name) {
    const Geometry& g = fs_.geometry;
    std::vector<std::byte> raw(g.inode_size), block(g.block_size);
    if (auto r = read_inode(fs_, directory, raw); !r) return std::unexpected(r.error());
    const Inode inode(g, directory, raw);
    if (inode.type() != FileType::directory) return InodeNo();
    if (inode.is(EXT4_INLINE_DATA_FL)) {
      const auto areas = inline_areas(g, directory, raw);
      if (!areas) return InodeNo();
      const InodeNo found = find_in(areas->first, g.block_size, name);
      return found ? found : find_in(areas->second, g.block_size, name);
    }
    RunList list;
    MapWalker(fs_).walk(inode, list);
    for (const Run& run : list.runs)
      for (uint32_t i = 0; i < run.count; ++i) {
        if (options_.progress && options_.progress->cancelled()) return std::unexpected(Error::cancelled());
        if (!overlay_.read(run.physical + i, block)) continue;
        if (const InodeNo found = find_in(block, g.block_size, name)) return found;
      }
    return InodeNo();
  }

  Result<void> name_all(Past& past) {
    std::vector<StagedBlock> blocks;
    for (const BlockPast& each : past.asked) blocks.push_back({each.block, {}, {}});
    std::ranges::sort(blocks, {}, &StagedBlock::block);
    const auto names = name_blocks(overlay_, blocks, options_);
    if (!names) return std::unexpected(names.error());
    for (BlockPast& each : past.asked) {
      const auto it = std::ranges::lower_bound(blocks, each.block, {}, &StagedBlock::block);
      each.what = (*names)[static_cast<size_t>(it - blocks.begin())];
    }
    return {};
  }

  const FileSystem& fs_;
  const Overlay& overlay_;
  const Journal& journal_;
  const JournalHistory& history_;
  const AuditOptions& options_;
};

std::string why_none(const Journal& journal) {
  if (!journal.facts.present) return "the file system has no journal";
  if (journal.facts.usable) return {};
  return journal.facts.external ? "the journal lies on another device: --journal names it" : "the journal is damaged";
}

uint64_t count_blocks(const std::vector<LoggedCopy>& copies) {
  uint64_t count = 0;
  for (size_t i = 0; i < copies.size(); ++i) count += i == 0 || copies[i].block != copies[i - 1].block;
  return count;
}

Result<FileSystem> load_over(const Image& image, Overlay& overlay, const AuditOptions& options) {
  auto fs = load_superblock(image, &overlay, {options.superblock, options.block_size});
  if (!fs) return fs;
  fs->blocks = &overlay;
  if (fs->end) overlay.set_end(*fs->end);
  load_descriptors(*fs);
  return fs;
}

}  // namespace

Result<Past> look_back(const Image& image, const PastRequest& request, const AuditOptions& options) {
  const auto stored = load_superblock(image, nullptr, {options.superblock, options.block_size});
  if (!stored) return std::unexpected(stored.error());
  Overlay overlay(image, stored->geometry.block_size, options.overlay_memory);
  auto fs = load_over(image, overlay, options);
  if (!fs) return std::unexpected(fs.error());
  const auto recovery = recover(*fs, overlay, {.device = options.journal});
  if (!recovery) return std::unexpected(recovery.error());
  fs = load_over(image, overlay, options);
  if (!fs) return std::unexpected(fs.error());

  const Journal journal = open_journal(*fs, options.journal);
  const JournalHistory history = read_history(journal, *fs, &recovery->journal);
  Past past;
  past.none = why_none(journal);
  past.transactions = history.transactions;
  past.unbroken = history.unbroken;
  past.bounded = history.bounded;
  past.copies = history.copies.size();
  past.blocks = count_blocks(history.copies);

  const unsigned jobs = options.jobs ? options.jobs : std::max(1u, std::thread::hardware_concurrency());
  tbb::global_control limit(tbb::global_control::max_allowed_parallelism, jobs);
  tbb::task_arena arena(static_cast<int>(jobs));
  auto done = arena.execute([&]() -> Result<void> {
    LookBack look(*fs, overlay, journal, history, options);
    if (request.block) return look.block(*request.block, past);
    if (request.inode) return look.inode(*request.inode, past);
    if (request.path.empty()) return {};
    const auto ino = look.find(request.path);
    if (!ino) return std::unexpected(ino.error());
    return look.inode(*ino, past);
  });
  if (!done) return std::unexpected(done.error());
  return past;
}

}  // namespace extscrub
