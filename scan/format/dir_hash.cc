#include "scan/format/dir_hash.h"

#include <algorithm>

#include "scan/format/ext2fs.h"

namespace extscrub {

namespace {

using State = HashSeed;

constexpr HashSeed kDefaultSeed = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476};

// One character as the number it counts as.
template <bool kSigned>
uint32_t value(char c) {
  return kSigned ? static_cast<uint32_t>(int{static_cast<signed char>(c)}) : static_cast<uint32_t>(static_cast<unsigned char>(c));
}

constexpr size_t kTeaWords = 4;

// Four words from the first characters of `name`, most significant first; what the name does not fill is padded with its
// length in every byte.
template <bool kSigned>
std::array<uint32_t, kTeaWords> pack(std::span<const char> name) {
  const auto length = static_cast<uint32_t>(name.size());
  uint32_t pad = length | length << 8;
  pad |= pad << 16;
  std::array<uint32_t, kTeaWords> words;
  size_t at = 0;
  const size_t used = std::min(name.size(), kTeaWords * 4);
  size_t i = 0;
  for (; i + 4 <= used; i += 4) {
    uint32_t word = pad;
    for (size_t k = 0; k < 4; ++k) word = value<kSigned>(name[i + k]) + (word << 8);
    words[at++] = word;
  }
  if (at < kTeaWords) {
    uint32_t word = pad;
    for (; i < used; ++i) word = value<kSigned>(name[i]) + (word << 8);
    words[at++] = word;
  }
  while (at < kTeaWords) words[at++] = pad;
  return words;
}

template <bool kSigned>
uint32_t legacy(std::span<const char> name) {
  uint32_t last = 0x12A3FE2D, before = 0x37ABE8F9;
  for (const char c : name) {
    uint32_t next = before + (last ^ (value<kSigned>(c) * 7152373));
    if (next >> 31) next -= 0x7FFFFFFF;
    before = last;
    last = next;
  }
  return last << 1;
}

void tea(State& state, const std::array<uint32_t, 4>& in) {
  constexpr uint32_t kDelta = 0x9E3779B9;
  uint32_t sum = 0, x = state[0], y = state[1];
  for (int i = 0; i < 16; ++i) {
    sum += kDelta;
    x += ((y << 4) + in[0]) ^ (y + sum) ^ ((y >> 5) + in[1]);
    y += ((x << 4) + in[2]) ^ (x + sum) ^ ((x >> 5) + in[3]);
  }
  state[0] += x;
  state[1] += y;
}

template <bool kSigned>
uint32_t tea_hash(State state, std::span<const char> name) {
  for (; !name.empty(); name = name.subspan(std::min<size_t>(name.size(), 16))) tea(state, pack<kSigned>(name));
  return state[0] & ~1u;
}

}  // namespace

DirHasher::DirHasher(const ext2_super_block& super) : signed_(!(super.s_flags & EXT2_FLAGS_UNSIGNED_HASH)) {
  std::ranges::copy(super.s_hash_seed, stored_seed_.begin());
  seed_ = std::ranges::all_of(stored_seed_, [](uint32_t w) { return w == 0; }) ? kDefaultSeed : stored_seed_;
  if (super.s_feature_incompat & EXT4_FEATURE_INCOMPAT_CASEFOLD) encoding_ = ext2fs_load_nls_table(super.s_encoding);
}

std::optional<uint32_t> DirHasher::hash(unsigned version, std::span<const char> name) const {
  if (version > EXT2_HASH_TEA) return std::nullopt;
  const std::string_view one(name.data(), name.size());
  uint32_t result = 0;
  hash_all(version, {&one, 1}, one.data() + one.size(), {&result, 1});
  return result;
}

void DirHasher::hash_all(unsigned version, std::span<const std::string_view> names, const char* end,
                         std::span<uint32_t> hashes) const {
  if (version == EXT2_HASH_HALF_MD4) return half_md4(seed_, signed_, names, end, hashes);
  for (size_t i = 0; i < names.size(); ++i) {
    if (version == EXT2_HASH_LEGACY)
      hashes[i] = (signed_ ? legacy<true>(names[i]) : legacy<false>(names[i])) & ~1u;
    else
      hashes[i] = signed_ ? tea_hash<true>(seed_, names[i]) : tea_hash<false>(seed_, names[i]);
  }
}

std::optional<uint32_t> DirHasher::folded_hash(unsigned version, std::span<const char> name) const {
  if (version > EXT2_HASH_TEA || !encoding_) return std::nullopt;
  const int library_version = static_cast<int>(version + (signed_ ? 0 : EXT2_HASH_LEGACY_UNSIGNED));
  ext2_dirhash_t result = 0;
  if (ext2fs_dirhash2(library_version, name.data(), static_cast<int>(name.size()), encoding_, EXT4_CASEFOLD_FL,
                      stored_seed_.data(), &result, nullptr))
    return std::nullopt;
  return result;
}

bool DirHasher::same_folded(std::span<const char> a, std::span<const char> b) const {
  const auto bytes = [](std::span<const char> s) { return reinterpret_cast<const unsigned char*>(s.data()); };
  if (!encoding_) return std::ranges::equal(a, b);
  return ext2fs_casefold_cmp(encoding_, bytes(a), a.size(), bytes(b), b.size()) == 0;
}

bool DirHasher::well_formed(std::span<const char> name) const { return !malformed_at(name); }

std::optional<size_t> DirHasher::malformed_at(std::span<const char> name) const {
  char* position = nullptr;
  // The function does not write to the name, but its parameter is not const.
  if (!encoding_ || ext2fs_check_encoded_name(encoding_, const_cast<char*>(name.data()), name.size(), &position) == 0) return {};
  const bool inside = position >= name.data() && position < name.data() + name.size();
  return inside ? static_cast<size_t>(position - name.data()) : 0;
}

}  // namespace extscrub
