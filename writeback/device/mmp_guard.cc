#include "writeback/device/mmp_guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "scan/format/mmp_block.h"
#include "scan/load/load_file_system.h"
#include "writeback/device/aligned_buffer.h"

namespace extscrub {

namespace {

// Seconds. The kernel and e2fsck watch for twice the interval and one second, or a minute more than it; no interval that
// they write is longer than 300 seconds.
constexpr unsigned kLeastInterval = 5, kMostInterval = 300;

// From the disk where direct I/O is to be had: what another host writes is in no cache here.
bool read_fresh(const Image& image, uint64_t at, MutableBytes out) {
  constexpr uint64_t kUnit = AlignedBuffer::kAlignment;
  const uint64_t begin = (image.offset() + at) / kUnit * kUnit, skip = image.offset() + at - begin;
  AlignedBuffer buffer((skip + out.size() + kUnit - 1) / kUnit * kUnit);
  const int fd = ::open(fmt::format("/proc/self/fd/{}", image.descriptor()).c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  const ssize_t n = fd < 0 ? -1 : ::pread(fd, buffer.bytes().data(), buffer.size(), static_cast<off_t>(begin));
  if (fd >= 0) ::close(fd);
  if (n >= 0 && static_cast<uint64_t>(n) >= skip + out.size()) {
    std::ranges::copy(buffer.bytes().subspan(skip, out.size()), out.begin());
    return true;
  }
  image.forget(at, out.size());
  return image.read(at, out).has_value();
}

std::string text(std::span<const uint8_t> bytes) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string out(all.substr(0, all.find('\0')));
  return out.empty() ? "an unknown host" : out;
}

void put_text(std::span<uint8_t> out, std::string_view text) {
  std::ranges::fill(out, uint8_t{0});
  std::memcpy(out.data(), text.data(), std::min(out.size(), text.size()));
}

std::string host_name() {
  char name[65] = {};
  (void)::gethostname(name, sizeof name - 1);
  return name;
}

// What stands for the device: it tells an earlier run on this host since it was booted, which is over when we have the
// image's lock, from one elsewhere or before.
std::string own_mark() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return "extscrub " + id.substr(0, 22);
}

std::vector<std::byte> sealed(const MmpClaim& claim, mmp_struct mmp) {
  std::vector<std::byte> block = claim.before;
  seal_mmp(claim.checksum_seed, mmp);
  store(block, 0, mmp);
  return block;
}

bool is_sound(const MmpClaim& claim) {
  const auto mmp = load<mmp_struct>(claim.before);
  return mmp.mmp_magic == EXT4_MMP_MAGIC && has_known_sequence(mmp) && has_right_checksum(claim.checksum_seed, mmp);
}

bool is_own(const mmp_struct& mmp) {
  mmp_struct own{};
  put_text(own.mmp_nodename, host_name());
  put_text(own.mmp_bdevname, own_mark());
  return std::ranges::equal(own.mmp_nodename, mmp.mmp_nodename) && std::ranges::equal(own.mmp_bdevname, mmp.mmp_bdevname);
}

std::chrono::seconds time_to_watch(const ext2_super_block& super, const mmp_struct& mmp) {
  const unsigned asked = std::max<unsigned>({super.s_mmp_update_interval, mmp.mmp_check_interval, kLeastInterval});
  const unsigned interval = std::min(asked, kMostInterval);
  return std::chrono::seconds(std::min(2 * interval + 1, interval + 60));
}

// In pieces, so that a stop is heeded soon.
bool wait_for(std::chrono::milliseconds left, const MmpWatch& watch) {
  constexpr std::chrono::milliseconds kPiece(200);
  for (; left.count() > 0; left -= kPiece)
    if (!watch.wait(std::min(left, kPiece))) return false;
  return true;
}

}  // namespace

std::vector<std::byte> mmp_at_rest(const MmpClaim& claim) {
  auto mmp = load<mmp_struct>(claim.before);
  if (mmp.mmp_seq == EXT4_MMP_SEQ_CLEAN) return claim.before;
  mmp.mmp_seq = EXT4_MMP_SEQ_CLEAN;
  return sealed(claim, mmp);
}

std::vector<std::byte> mmp_in_hand(const MmpClaim& claim, uint64_t now) {
  auto mmp = load<mmp_struct>(claim.before);
  mmp.mmp_seq = EXT4_MMP_SEQ_FSCK;
  mmp.mmp_time = now;
  put_text(mmp.mmp_nodename, host_name());
  put_text(mmp.mmp_bdevname, own_mark());
  return sealed(claim, mmp);
}

MmpAnswer look_at_mmp(const Image& image, std::optional<uint64_t> superblock, std::optional<uint32_t> block_size,
                      const MmpWatch* watch) {
  LoadOptions options;
  options.superblock = superblock;
  options.block_size = block_size;
  const auto fs = load_superblock(image, nullptr, options);
  if (!fs || !fs->geometry.has_incompat(EXT4_FEATURE_INCOMPAT_MMP)) return {};
  const Geometry& g = fs->geometry;
  MmpAnswer answer;
  answer.use = MmpUse::damaged;
  MmpClaim claim;
  claim.block = BlockNo(fs->super.s_mmp_block);
  if (!g.contains(claim.block) || claim.block.value == g.first_data_block) return answer;
  claim.checksum_seed = mmp_seed(g);
  claim.before.resize(g.block_size);
  const uint64_t at = claim.block.value * g.block_size;
  if (!read_fresh(image, at, claim.before)) return answer;
  // One that another host is writing may be read half old, half new.
  if (!is_sound(claim) && (!read_fresh(image, at, claim.before) || !is_sound(claim))) return answer;

  const auto mmp = load<mmp_struct>(claim.before);
  const bool checked = mmp.mmp_seq == EXT4_MMP_SEQ_FSCK;
  answer.claim = claim;
  answer.use = MmpUse::none;
  if (mmp.mmp_seq == EXT4_MMP_SEQ_CLEAN) return answer;
  answer.who =
      fmt::format("{} by {} ({})", checked ? "being checked" : "mounted", text(mmp.mmp_nodename), text(mmp.mmp_bdevname));
  answer.is_check = checked;
  answer.use = MmpUse::in_use;
  if (checked && is_own(mmp)) answer.use = MmpUse::abandoned;
  if (checked || watch == nullptr) return answer;

  const auto time = time_to_watch(fs->super, mmp);
  watch->tell(answer.who, time);
  if (!wait_for(time, *watch)) {
    answer.use = MmpUse::cancelled;
    return answer;
  }
  std::vector<std::byte> again(g.block_size);
  if (read_fresh(image, at, again) && load<mmp_struct>(again).mmp_seq == mmp.mmp_seq) answer.use = MmpUse::abandoned;
  return answer;
}

}  // namespace extscrub
