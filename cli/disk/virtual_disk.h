// Virtual disks (qcow2, VMDK, VHDX, VHD, VDI) and disks of NBD servers, as one file that this process alone can open:
//   disk.qcow2 → qemu-nbd → private socket → nbdfuse → file in a mount that is taken out of the tree when it is open
// qemu-nbd runs as nobody, without a network, and can open nothing but the files of the disk, which it is handed;
// nbdfuse has to mount, so it keeps the right to, and is kept from other programs and the network only.
// For an NBD URI, nbdfuse alone. The socket and the mount have no name any more when open() returns: the descriptor is
// all that holds them, so they go with this process, even if it is killed. A VirtualDisk belongs to one thread.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "cli/disk/helper_program.h"
#include "cli/disk/image_kind.h"
#include "scan/format/error.h"

namespace extscrub {

class Meeting;

class VirtualDisk {
 public:
  // `kind`: of `name`, a virtual disk or an NBD URI. `follow`: as of DiskChain::open(). Gives up when `stop` becomes true
  // (null: never).
  // Errors: those of DiskChain, a helper program is missing or says no (another process has the disk open, say; in its words), it
  // takes longer than a minute, no temporary directory, `writable` and the server has it for reading only; cancelled.
  [[nodiscard]] static Result<VirtualDisk> open(const std::string& name, const ImageKind& kind, bool writable, bool follow,
                                                const std::atomic<bool>* stop);

  VirtualDisk(VirtualDisk&& other) noexcept;
  VirtualDisk& operator=(VirtualDisk&&) = delete;
  ~VirtualDisk();

  // Where this process can open it, any number of times.
  [[nodiscard]] std::string path() const;

  // Whether writes go past the memory of this machine: not where the file system that has the disk does no O_DIRECT.
  [[nodiscard]] bool is_direct() const { return direct_; }

  // What of their sandboxes the helper programs could not have, a sentence each.
  [[nodiscard]] const std::vector<std::string>& unprotected() const { return unprotected_; }

  // This process is about to lose the right to signal others: the programs are killed once it has ended, and close() waits
  // for none that does not end by itself. For a disk that was opened for reading. Errors: of kill_with_us().
  [[nodiscard]] Result<void> leave_programs();

  // Ends the helper programs and waits for them; whatever was opened at path() must be closed by now. All that was
  // written is on the disk if it was flushed: an fsync(2) of the file is one of the disk. Called again, it does
  // nothing.
  // Errors: one of them ended with a failure, or not at all.
  [[nodiscard]] Result<void> close();

 private:
  VirtualDisk() = default;
  [[nodiscard]] Result<void> serve(const std::string& name, const std::string& format, bool writable, bool follow,
                                   const Meeting& meeting, const std::atomic<bool>* stop);
  void note(const HelperProgram& program);

  std::optional<HelperProgram> server_;  // qemu-nbd; none for an NBD URI
  std::optional<HelperProgram> mounter_;  // nbdfuse
  std::vector<std::string> unprotected_;
  int fd_ = -1;
  bool direct_ = true, left_ = false;
};

}  // namespace extscrub
