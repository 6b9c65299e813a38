#include <sys/mount.h>

#include "tests/writeback/writeback_support.h"
#include "writeback/device/image_lock.h"

namespace extscrub::test::wb {

namespace {

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(("PATH=\"$PATH:/usr/sbin:/sbin\"; " + command).c_str(), "r");
  REQUIRE(pipe != nullptr);
  char line[256];
  while (std::fgets(line, sizeof line, pipe) != nullptr) out += line;
  ::pclose(pipe);
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

}  // namespace

TEST_CASE("second scrub of one image is refused while the first one holds the lock", "[behaviour-28]") {
  TestImage image;
  {
    const auto first = ImageLock::acquire(image.path());
    REQUIRE(first);
    const auto second = ImageLock::acquire(image.path());
    REQUIRE_FALSE(second);
    CHECK(second.error().code == EBUSY);
  }
  CHECK(ImageLock::acquire(image.path()));
}

TEST_CASE("lock moves with its object") {
  TestImage image;
  auto first = ImageLock::acquire(image.path());
  REQUIRE(first);
  {
    const ImageLock moved = std::move(*first);
    CHECK_FALSE(ImageLock::acquire(image.path()));
  }
  CHECK(ImageLock::acquire(image.path()));
}

TEST_CASE("image that is not there cannot be locked") {
  const auto lock = ImageLock::acquire("/nonexistent/image");
  REQUIRE_FALSE(lock);
  CHECK(lock.error().code == ENOENT);
}

TEST_CASE("image nobody uses is not in use") {
  TestImage image;
  CHECK_FALSE(image_in_use(image.path()));
}

TEST_CASE("image behind a loop device, then mounted: in use, and refused", "[behaviour-29]") {
  if (::geteuid() != 0) {
    WARN("not root: loop devices are not tested");
    return;
  }
  TempDir dir;
  const auto path = dir.path() / "an image";
  if (run_tool("mke2fs -q -F -t ext4 '" + path.string() + "' 4M") != 0) {
    WARN("no mke2fs: skipped");
    return;
  }
  const std::string loop = output_of("losetup -f --show '" + path.string() + "' 2>/dev/null");
  if (loop.empty()) {
    WARN("no loop device to be had: skipped");
    return;
  }
  const auto mount_point = dir.path() / "a mount point";
  std::filesystem::create_directory(mount_point);
  const auto detach = [&] { return std::system(("PATH=\"$PATH:/usr/sbin:/sbin\"; losetup -d " + loop).c_str()); };
  bool attached = true;
  const AtEnd tidy([&] {
    ::umount(mount_point.c_str());
    if (attached) (void)detach();
  });
  CHECK(image_in_use(path) == "loop device " + loop + " is attached to it");
  const auto lock = ImageLock::acquire(path);
  REQUIRE_FALSE(lock);
  CHECK(lock.error().code == EBUSY);

  if (::mount(loop.c_str(), mount_point.c_str(), "ext4", 0, "") == 0) {
    CHECK(image_in_use(path) == "it is mounted on " + mount_point.string() + " through " + loop);
    CHECK(image_in_use(loop) == "it is mounted on " + mount_point.string());
    CHECK_FALSE(ImageLock::acquire(loop));
    CHECK(::umount(mount_point.c_str()) == 0);
    CHECK(ImageLock::acquire(loop));
  } else {
    WARN("cannot mount here: the mounted image is not tested");
  }
  attached = detach() != 0;
  CHECK_FALSE(attached);
  CHECK_FALSE(image_in_use(path));
}

}  // namespace extscrub::test::wb
