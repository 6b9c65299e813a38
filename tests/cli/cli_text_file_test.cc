// Files that others have made, of every kind that a path may lead to: none makes a run hang.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "cli/files/file_kind.h"
#include "cli/files/text_file.h"
#include "cli/input/image_list.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

fs::path make_fifo(const fs::path& path) {
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  return path;
}

fs::path make_socket(const fs::path& path) {
  sockaddr_un name{AF_UNIX, {}};
  REQUIRE(path.native().size() < sizeof name.sun_path);
  path.native().copy(name.sun_path, path.native().size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  ::close(fd);
  return path;
}

// A pipe that is open for as long as the object is.
struct Pipe {
  int ends[2];
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    close_writer();
  }
  void close_writer() {
    if (ends[1] >= 0) ::close(std::exchange(ends[1], -1));
  }
  [[nodiscard]] std::string path() const { return fmt::format("/dev/fd/{}", ends[0]); }
};

}  // namespace

TEST_CASE("a text file is read whole, and /dev/null is an empty one") {
  const TempDir dir;
  const std::string text = std::string(200'000, 'a') + '\0' + "\nb";
  CHECK(read_text_file(write_file(dir.path() / "file", text), "it").value() == text);
  fs::create_symlink("file", dir.path() / "link");
  CHECK(read_text_file(dir.path() / "link", "it").value() == text);
  CHECK(read_text_file("/dev/null", "it").value().empty());
  CHECK(read_text_file(dir.path() / "none", "it").error().code == ENOENT);
}

TEST_CASE("what is no regular file is named and not read") {
  const TempDir dir;
  const std::string kind = GENERATE("a FIFO", "a directory", "a socket", "a character device");
  CAPTURE(kind);
  const fs::path path = kind == "a character device" ? fs::path("/dev/zero") : dir.path() / "file";
  if (kind == "a directory") fs::create_directory(path);
  if (kind == "a FIFO") make_fifo(path);
  if (kind == "a socket") make_socket(path);
  const auto read = read_text_file(path, "the list");
  REQUIRE_FALSE(read);
  CHECK(text_of(read.error()) == "cannot read the list: it is " + kind + "; a regular file is needed");
  CHECK(read.error().kind == ErrorKind::refused);
}

TEST_CASE("a symbolic link is not followed where it is not to be") {
  const TempDir dir;
  write_file(dir.path() / "file", "text");
  fs::create_symlink("file", dir.path() / "link");
  const auto read = read_text_file(dir.path() / "link", "it", {.follow_link = false});
  REQUIRE_FALSE(read);
  CHECK(text_of(read.error()) == "cannot read it: it is a symbolic link; a regular file is needed");
}

TEST_CASE("a text file has a largest size") {
  const TempDir dir;
  const fs::path file = write_file(dir.path() / "file", "12345");
  CHECK(read_text_file(file, "it", {.most = 5}).value() == "12345");
  CHECK(text_of(read_text_file(file, "it", {.most = 4}).error()) == "it is too large: more than 4 bytes");
}

TEST_CASE("a pipe that was handed to the process is read to its end") {
  Pipe pipe;
  std::thread writer([&] {
    for (int i = 0; i < 3; ++i) {
      (void)!::write(pipe.ends[1], "text\n", 5);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    pipe.close_writer();
  });
  const auto read = read_text_file(pipe.path(), "it");
  writer.join();
  CHECK(read.value() == "text\ntext\ntext\n");
}

TEST_CASE("a run that is told to stop waits for no pipe") {
  const Pipe pipe;
  std::atomic<bool> stop{false};
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop = true;
  });
  const auto read = read_text_file(pipe.path(), "the list", {.stop = &stop});
  stopper.join();
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::cancelled);
  CHECK(text_of(read.error()) == "cancelled while the list was read");
}

TEST_CASE("a list of images that does not end is a run that can be cancelled") {
  const Pipe pipe;
  Tool tool;
  tool.stop = true;
  CHECK(tool({"audit", "--files-from", pipe.path()}) == 32);
  CHECK(tool.said("extscrub: cancelled while the list of images /dev/fd/"));
}

TEST_CASE("a path that stands for a descriptor is told from others") {
  const TempDir dir;
  CHECK(descriptor_of("/dev/stdin") == 0);
  CHECK(descriptor_of("/dev/stderr") == 2);
  CHECK(descriptor_of("/dev/fd/17") == 17);
  CHECK(descriptor_of("/proc/self/fd/1") == 1);
  fs::create_symlink("/dev/stdout", dir.path() / "link");
  CHECK(descriptor_of(dir.path() / "link") == 1);
  fs::create_symlink("loop", dir.path() / "loop");
  for (const fs::path& path :
       {dir.path() / "loop", write_file(dir.path() / "1", ""), fs::path("/dev/null"), fs::path("/dev/fd/x"),
        fs::path("/dev/fd/99999999999"), fs::path("/dev/fd"), fs::path("1"), fs::path()})
    CHECK_FALSE(descriptor_of(path));
}
