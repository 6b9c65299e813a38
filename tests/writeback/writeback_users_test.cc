// Who says by locks that an image is open: QEMU's bytes, other programs' locks, and the locks of a scrub.
#include <sys/mount.h>

#include "tests/writeback/writeback_support.h"
#include "writeback/device/image_users.h"

namespace extscrub::test::wb {

namespace {

// Another program that has the image open.
class OtherProgram {
 public:
  explicit OtherProgram(const TestImage& image) : fd_(::open(image.path().c_str(), O_RDWR | O_CLOEXEC)) { REQUIRE(fd_ >= 0); }
  OtherProgram(const OtherProgram&) = delete;
  OtherProgram& operator=(const OtherProgram&) = delete;
  ~OtherProgram() { ::close(fd_); }

  [[nodiscard]] bool locks(short type, off_t at, off_t length = 1) const {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = at;
    lock.l_len = length;
    return ::fcntl(fd_, F_OFD_SETLK, &lock) == 0;
  }
  [[nodiscard]] bool sees_lock_on(off_t at) const {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = at;
    lock.l_len = 1;
    REQUIRE(::fcntl(fd_, F_OFD_GETLK, &lock) == 0);
    return lock.l_type != F_UNLCK;
  }

 private:
  int fd_;
};

}  // namespace

TEST_CASE("image that a virtual machine has open for writing is refused, and an audit says so", "[behaviour-29]") {
  TestImage image;
  const OtherProgram qemu(image);
  REQUIRE(qemu.locks(F_RDLCK, GENERATE(101, 103)));
  const auto lock = ImageLock::acquire(image.path());
  REQUIRE_FALSE(lock);
  CHECK(lock.error().code == EBUSY);
  CHECK(text_of(lock.error()).find("a virtual machine or a tool of QEMU has it open") != std::string::npos);
  CHECK(image_in_use(image.path()) == "a virtual machine or a tool of QEMU has it open");
}

TEST_CASE("image that a virtual machine only reads, or shares with no writer, is refused but no matter for an audit") {
  TestImage image;
  const OtherProgram qemu(image);
  REQUIRE(qemu.locks(F_RDLCK, GENERATE(100, 201, 203)));
  CHECK_FALSE(ImageLock::acquire(image.path()));
  CHECK_FALSE(image_in_use(image.path()));
}

TEST_CASE("image that another program has locked for itself is refused, and an audit says so") {
  TestImage image;
  const OtherProgram other(image);
  REQUIRE(other.locks(F_WRLCK, 0, 0));
  CHECK_FALSE(ImageLock::acquire(image.path()));
  CHECK(image_in_use(image.path()) == "another program holds a lock on it");
}

TEST_CASE("while a scrub holds the lock a virtual machine sees that it is written and shared with nobody") {
  TestImage image;
  const OtherProgram qemu(image);
  {
    const auto lock = ImageLock::acquire(image.path());
    REQUIRE(lock);
    for (const off_t byte : {100, 101, 200, 201, 203}) CHECK(qemu.sees_lock_on(byte));
    CHECK_FALSE(qemu.sees_lock_on(102));
  }
  CHECK_FALSE(qemu.sees_lock_on(101));
}

TEST_CASE("locks of a server of ours do not count") {
  TestImage image;
  const OtherProgram server(image);
  REQUIRE(server.locks(F_RDLCK, 101));
  CHECK(ImageLock::acquire_served(image.path()));
}

TEST_CASE("image behind a loop device whose path is gone is in use under its other name", "[behaviour-29]") {
  if (::geteuid() != 0) {
    WARN("not root: loop devices are not tested");
    return;
  }
  TestImage image;
  auto attached = image.path();
  attached += "-attached";
  std::filesystem::create_hard_link(image.path(), attached);
  TempDir dir;
  const auto said = dir.path() / "said";
  const std::string path = "PATH=\"$PATH:/usr/sbin:/sbin\"; ";
  if (std::system((path + "losetup -f --show '" + attached.string() + "' >'" + said.string() + "' 2>/dev/null").c_str()) != 0) {
    WARN("no loop device to be had: skipped");
    return;
  }
  std::string loop;
  std::getline(std::ifstream(said) >> std::ws, loop);
  const AtEnd detach([&] { (void)std::system((path + "losetup -d " + loop).c_str()); });
  std::filesystem::remove(attached);
  CHECK(image_in_use(image.path()) == "loop device " + loop + " is attached to it");
  CHECK_FALSE(ImageLock::acquire(image.path()));
}

}  // namespace extscrub::test::wb
