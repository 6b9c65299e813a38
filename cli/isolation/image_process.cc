#include "cli/isolation/image_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <exception>
#include <filesystem>
#include <ostream>
#include <string_view>
#include <vector>

#include "cli/isolation/report_channel.h"
#include "cli/process/signals.h"
#include "cli/sandbox/child_limits.h"

namespace extscrub {

namespace {

// What this program has open (the report's file, for one) is no business of the image's; what it was started with may be
// the image. The first is closed on execve(2), the second is not.
void close_own_descriptors(int but) {
  DIR* const all = ::opendir("/proc/self/fd");
  if (all == nullptr) return;
  std::vector<int> own;
  while (const dirent* entry = ::readdir(all)) {
    const std::string_view name = entry->d_name;
    int fd = -1;
    if (std::from_chars(name.begin(), name.end(), fd).ec != std::errc() || fd == but || fd == ::dirfd(all)) continue;
    if ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) own.push_back(fd);
  }
  ::closedir(all);
  for (const int fd : own) ::close(fd);
}

// The report on standard output is the run's.
void leave_standard_output() {
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null < 0) return;
  ::dup2(null, STDOUT_FILENO);
  ::close(null);
}

// `given`, but for where it prints, how it is stopped, and that the channel is told when writing begins.
Environment environment_in_child(const Environment& given, bool confine, std::ostream& nowhere, ChannelText& err,
                                 ChannelWriter& channel) {
  Environment inner{.out = nowhere,
                    .err = err,
                    .in = nullptr,
                    .out_is_terminal = given.out_is_terminal,
                    .err_is_terminal = given.err_is_terminal,
                    .no_color = given.no_color,
                    .log = given.log,
                    .stop = &catch_stop_of_run(),
                    .isolate = false,
                    .confine = confine,
                    .engine = given.engine};
  inner.engine.commit = [&channel, commit = given.engine.commit](const CommitRequest& request, const ImageLock& lock) {
    channel.writing(request.undo ? request.undo->path : std::filesystem::path());
    return commit(request, lock);
  };
  inner.engine.undo = [&channel, undo = given.engine.undo](const UndoRequest& request, const ImageLock& lock) {
    channel.writing({});
    return undo(request, lock);
  };
  return inner;
}

}  // namespace

void do_image(int pipe, pid_t run, size_t first, const Options& options, const Environment& environment,
              const TargetsWork& work) {
  // Without the run there is nobody to report to, and a kill of the run is meant for the whole of it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != run) ::_exit(kStatusOfThrow);
  close_own_descriptors(pipe);
  leave_standard_output();
  set_limits({options.max_memory.value_or(memory_there_is()), options.timeout, options.jobs});
  ChannelWriter channel(pipe);
  ChannelText err(channel);
  try {
    std::ostream nowhere(nullptr);
    const bool confine = options.access == Access::read;
    work(first, environment_in_child(environment, confine, nowhere, err, channel), channel);
    err.flush();
    channel.end();
  } catch (const std::exception& exception) {
    err << "extscrub: internal error: " << exception.what() << '\n' << std::flush;
    ::_exit(kStatusOfThrow);
  }
  ::_exit(0);
}

}  // namespace extscrub
