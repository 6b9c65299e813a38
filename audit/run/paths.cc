#include "audit/run/paths.h"

#include <tbb/enumerable_thread_specific.h>

#include <algorithm>
#include <ranges>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "scan/directory/directory_scan.h"

namespace extscrub {

namespace {

constexpr size_t kMostPaths = 10'000;  // inodes; with more findings than that, names help nobody
constexpr size_t kDeepest = 1024;      // directories above one another
constexpr size_t kLongest = 4096;      // bytes (PATH_MAX); of a longer path both ends are kept
constexpr size_t kMostBytes = size_t{64} << 20;  // of all paths together; findings behind that have their inode alone

struct Name {
  InodeNo inode, parent;
  std::string name;
};

// One name each of the inodes in `wanted` (sorted): the first by parent and name, whatever the order of reading.
std::vector<Name> choose(std::vector<Name>&& names) {
  std::ranges::sort(names, {}, [](const Name& n) { return std::tie(n.inode, n.parent, n.name); });
  const auto rest = std::ranges::unique(names, {}, &Name::inode);
  names.erase(rest.begin(), rest.end());
  return std::move(names);
}

void sort_out(std::vector<InodeNo>& wanted) {
  std::ranges::sort(wanted);
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
}

// The inodes of the findings.
std::vector<InodeNo> inodes_to_name(const AuditRun& run) {
  std::vector<InodeNo> wanted;
  for (const Finding& f : run.audit.findings)
    if (f.inode && f.inode->value >= run.fs.geometry.first_inode) wanted.push_back(*f.inode);
  sort_out(wanted);
  return wanted;
}

class Paths {
 public:
  explicit Paths(const AuditRun& run) : run_(run) {}

  // Two passes: the first finds in which directories the files lie, the second names those that were not known before.
  Result<void> read(std::vector<InodeNo> wanted, Progress* progress) {
    for (int pass = 0; pass < 2 && !wanted.empty(); ++pass) {
      add_ancestors(wanted);
      auto found = read_names(wanted, progress);
      if (!found) return std::unexpected(found.error());
      wanted.clear();
      for (Name& n : *found) {
        if (n.parent.value != EXT2_ROOT_INO) wanted.push_back(n.parent);
        names_.emplace(n.inode, std::move(n));
      }
      std::erase_if(wanted, [&](InodeNo ino) { return names_.contains(ino); });
    }
    return {};
  }

  // Empty when no way leads up to the root. In place of what is left out of a long path stands "//...//", which no path
  // has otherwise.
  [[nodiscard]] std::string path(InodeNo ino) {
    if (ino.value == EXT2_ROOT_INO) return "/";
    const Way way = way_to(ino);
    if (way.depth == 0) return {};
    if (way.bytes <= kLongest) return join(ino, way.depth);
    std::string begin = join(way.begin, way_to(way.begin).depth);
    uint32_t parts = 0;
    size_t bytes = 0;
    for (InodeNo at = ino;; at = names_.at(at).parent, ++parts)
      if ((bytes += names_.at(at).name.size() + 1) > kLongest / 2) break;
    return begin + "//.../" + join(ino, parts);
  }

 private:
  // From the root to an inode.
  struct Way {
    uint32_t depth = 0;  // names; 0: there is none
    uint64_t bytes = 0;
    InodeNo begin;       // the last on the way whose path is no longer than half of what a path may be
  };

  // Remembered for all on the way: directories have much of it in common.
  Way way_to(InodeNo ino) {
    std::vector<InodeNo> climbed;
    while (ino.value != EXT2_ROOT_INO && !ways_.contains(ino)) {
      if (!names_.contains(ino) || climbed.size() > kDeepest) return {};
      climbed.push_back(ino);
      ino = names_.at(ino).parent;
    }
    Way way = ino.value == EXT2_ROOT_INO ? Way{} : ways_.at(ino);
    for (const InodeNo at : std::views::reverse(climbed)) {
      if (++way.depth > kDeepest) return {};
      way.bytes += names_.at(at).name.size() + 1;
      if (way.bytes <= kLongest / 2) way.begin = at;
      ways_.emplace(at, way);
    }
    return way;
  }

  // The last `parts` names of the way to it.
  [[nodiscard]] std::string join(InodeNo ino, uint32_t parts) const {
    std::vector<const std::string*> names;
    for (; names.size() < parts; ino = names_.at(ino).parent) names.push_back(&names_.at(ino).name);
    std::string path;
    for (const std::string* name : std::views::reverse(names)) path.append("/").append(*name);
    return path;
  }

  // The directories above those in the list, which are known; sorted, each once.
  void add_ancestors(std::vector<InodeNo>& wanted) const {
    const DirectoryTable& table = run_.scan->directories;
    std::unordered_set<InodeNo> all(wanted.begin(), wanted.end());
    for (const InodeNo from : wanted) {
      uint32_t at = table.find(from);
      while (at < table.directories.size()) {
        at = table.find(InodeNo(table.directories[at].parent));
        if (at < table.directories.size() && !all.insert(table.directories[at].inode).second) break;
      }
    }
    all.erase(InodeNo(EXT2_ROOT_INO));
    wanted.assign(all.begin(), all.end());
    std::ranges::sort(wanted);
  }

  Result<std::vector<Name>> read_names(const std::vector<InodeNo>& wanted, Progress* progress) const {
    const DirectoryTable& table = run_.scan->directories;
    tbb::enumerable_thread_specific<std::vector<Name>> parts;
    const auto take = [&](InodeNo directory, const DirEntry& e) {
      if (!std::ranges::binary_search(wanted, e.inode)) return;
      // Of a directory only the name in its own parent counts.
      const uint32_t index = table.find(e.inode);
      if (index < table.directories.size() && table.directories[index].parent != directory.value) return;
      parts.local().push_back({e.inode, directory, std::string(e.name)});
    };
    if (auto r = for_each_entry(run_.fs, table, progress, take); !r) return std::unexpected(r.error());
    std::vector<Name> found;
    for (auto& part : parts) std::ranges::move(part, std::back_inserter(found));
    return choose(std::move(found));
  }

  const AuditRun& run_;
  std::unordered_map<InodeNo, Name> names_;
  std::unordered_map<InodeNo, Way> ways_;
};

}  // namespace

Result<void> add_paths(AuditRun& run, Progress* progress) {
  Paths paths(run);
  std::vector<InodeNo> wanted = inodes_to_name(run);
  std::optional<InodeNo> last;  // that is looked up, where not all are
  if (wanted.size() > kMostPaths) {
    wanted.resize(kMostPaths);
    last = wanted.back();
  }
  if (auto r = paths.read(std::move(wanted), progress); !r) return r;
  size_t bytes = 0;
  sort_findings(run.audit.findings);  // those that get a path do not depend on threads
  for (Finding& f : run.audit.findings) {
    if (!f.inode || !f.path.empty()) continue;
    std::string path = bytes > kMostBytes ? std::string() : paths.path(*f.inode);
    bytes += path.size();
    if (bytes <= kMostBytes) f.path = std::move(path);
    if (f.path.empty() && (bytes > kMostBytes || (last && *f.inode > *last))) ++run.audit.without_path;
  }
  return {};
}

Result<void> add_paths(const AuditRun& run, std::vector<Loss>& losses, Progress* progress) {
  std::vector<InodeNo> wanted;
  for (const Loss& loss : losses)
    if (loss.inode && loss.path.empty()) wanted.push_back(loss.inode);
  sort_out(wanted);
  if (wanted.empty()) return {};
  if (wanted.size() > kMostPaths) wanted.resize(kMostPaths);
  Paths paths(run);
  if (auto r = paths.read(std::move(wanted), progress); !r) return r;
  size_t bytes = 0;
  for (Loss& loss : losses) {
    if (!loss.inode || !loss.path.empty() || bytes > kMostBytes) continue;
    loss.path = paths.path(loss.inode);
    bytes += loss.path.size();
  }
  return {};
}

}  // namespace extscrub
