#include "cli/sandbox/call_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace extscrub {

namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr uint32_t kArchitecture = AUDIT_ARCH_RISCV64;
#else
constexpr uint32_t kArchitecture = 0;
#endif
constexpr uint32_t kX32 = 0x40000000;  // __X32_SYSCALL_BIT: the same calls under other numbers

// Newer than the headers of Debian 12, and the same for every processor.
constexpr int kFchmodat2 = 452, kSetxattrat = 463, kRemovexattrat = 466;

constexpr int kRefused[] = {
    // other processes
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kill,
    SYS_tkill,
    SYS_pidfd_send_signal,
    SYS_pidfd_getfd,
    SYS_kcmp,
    // other views of the machine
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_open_by_handle_at,
    // the machine
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_acct,
    SYS_quotactl,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    // what landlock leaves alone: attributes of files, and before Linux 6.2 their size
    SYS_fchmod,
    SYS_fchmodat,
    kFchmodat2,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    kSetxattrat,
    kRemovexattrat,
    SYS_truncate,
#ifdef SYS_chmod
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
#endif
};

constexpr uint32_t kFamily = offsetof(seccomp_data, args) + (std::endian::native == std::endian::big ? 4 : 0);

class Program {
 public:
  void load(uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset); }
  void refuse() { add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM); }
  void allow() { add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW); }
  // The next `skipped` instructions are for what compares; `jump` is BPF_JEQ or BPF_JGE.
  void unless(uint16_t jump, uint32_t value, uint8_t skipped) { add(BPF_JMP | jump | BPF_K, value, 0, skipped); }
  void refuse_call(int number) {
    unless(BPF_JEQ, static_cast<uint32_t>(number), 1);
    refuse();
  }
  [[nodiscard]] std::vector<sock_filter> take() { return std::move(code_); }

 private:
  void add(int code, uint32_t value, uint8_t if_true = 0, uint8_t if_false = 0) {
    code_.push_back({static_cast<uint16_t>(code), if_true, if_false, value});
  }
  std::vector<sock_filter> code_;
};

}  // namespace

std::vector<sock_filter> call_filter(const CallFilterRules& rules) {
  if (kArchitecture == 0) return {};
  Program program;
  program.load(offsetof(seccomp_data, arch));
  // Other numbers, other calls: those of x32, and those of a 32-bit processor, whose own number is larger too.
  program.unless(BPF_JEQ, kArchitecture, 1);
  program.load(offsetof(seccomp_data, nr));
  program.unless(BPF_JGE, kX32, 1);
  program.refuse();
  for (const int number : kRefused) program.refuse_call(number);
  if (!rules.execute) {
    program.refuse_call(SYS_execve);
    program.refuse_call(SYS_execveat);
  }
  if (!rules.mount) {
    program.refuse_call(SYS_mount);
    program.refuse_call(SYS_umount2);
  }
  if (!rules.io_uring) program.refuse_call(SYS_io_uring_setup);
  if (!rules.network) {
    program.unless(BPF_JEQ, SYS_socket, rules.unix_sockets ? 4 : 1);
    if (rules.unix_sockets) {
      program.load(kFamily);
      program.unless(BPF_JEQ, AF_UNIX, 1);
      program.allow();
    }
    program.refuse();
  }
  program.allow();
  return program.take();
}

int apply_call_filter(const std::vector<sock_filter>& filter) noexcept {
  // The kernel takes it as it is, and does not write to it.
  const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : errno;
}

}  // namespace extscrub
