// The tool in a test: it runs in the process, prints to strings, and works with stand-ins where a test gives it some.
// One thread.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/process/environment.h"
#include "cli/run.h"
#include "tests/support/process.h"

namespace extscrub::test {

struct Tool {
  std::ostringstream out, err;
  std::atomic<bool> stop{false};
  Environment environment{.out = out, .err = err, .stop = &stop};

  int operator()(const std::vector<std::string>& arguments) {
    out.str({});
    err.str({});
    return extscrub::run(arguments, environment);
  }
  [[nodiscard]] std::string printed() const { return out.str(); }
  [[nodiscard]] std::string said() const { return err.str(); }
  [[nodiscard]] bool said(std::string_view text) const { return err.str().find(text) != std::string::npos; }
  [[nodiscard]] bool printed(std::string_view text) const { return out.str().find(text) != std::string::npos; }
};

inline std::filesystem::path write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();  // in large pieces: by the character it takes seconds with sanitizers
  return std::move(text).str();
}

// `size` zero bytes but for the magic number of ext2/3/4: enough for the tool to ask its (stand-in) engine.
inline std::filesystem::path write_ext_like(const std::filesystem::path& path, size_t size = 65536) {
  std::string bytes(size, '\0');
  bytes[1080] = '\x53';
  bytes[1081] = '\xEF';
  return write_file(path, bytes);
}

[[nodiscard]] inline Finding finding(Problem problem) {
  Finding f;
  f.problem = problem;
  return f;
}

// A number of an inode that should be 0 and is not.
[[nodiscard]] inline Finding at_inode(Problem problem, uint32_t inode, std::string found = "1") {
  Finding f = finding(problem);
  f.group = GroupNo(0);
  f.inode = InodeNo(inode);
  f.evidence = Note{"0", std::move(found)};
  return f;
}

// An engine's audit that finds these.
[[nodiscard]] inline Audit audit_with(Verdict verdict, std::vector<Finding> findings = {}) {
  Audit audit;
  audit.verdict = verdict;
  audit.findings = std::move(findings);
  audit.info.block_size = audit.info.cluster_size = 1024;
  audit.info.uuid = "11111111-2222-3333-4444-555555555555";
  return audit;
}

inline void answer_audits_with(Tool& tool, const Audit& audit) {
  tool.environment.engine.audit = [audit](const Image&, Overlay*, const AuditOptions&) { return audit; };
}

}  // namespace extscrub::test
