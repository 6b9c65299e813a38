// The vectors are those of the compiler (GCC and clang), so one text serves AVX2 and processors without it, where it
// becomes pairs of smaller ones. Functions take them by reference: their ABI by value depends on what is compiled for.
#include "scan/format/half_md4.h"

#include <algorithm>
#include <cstring>

namespace extscrub {

namespace {

constexpr size_t kLanes = 8;
constexpr size_t kWords = 8;               // of a name, in one turn
constexpr size_t kChunk = kWords * 4;      // bytes

using Vector = uint32_t __attribute__((vector_size(kLanes * 4)));
using ByteVector = uint8_t __attribute__((vector_size(kLanes * 4)));

#define EXTSCRUB_INLINE inline __attribute__((always_inline))

// The name that a lane is at.
struct Lane {
  std::string_view rest;
  size_t index = 0;
  bool busy = false;
};

EXTSCRUB_INLINE void add_character(uint32_t& word, char c, bool is_signed) {
  const uint32_t value = is_signed ? static_cast<uint32_t>(int{static_cast<signed char>(c)}) : static_cast<unsigned char>(c);
  word = value + (word << 8);
}

// The next eight words of what is left of a name, characters most significant first; what it does not fill is padded
// with the length of what is left.
EXTSCRUB_INLINE void pack(std::string_view rest, const char* end, bool is_signed, Vector& row) {
  if (static_cast<size_t>(end - rest.data()) >= kChunk) {
    std::memcpy(&row, rest.data(), kChunk);
  } else {
    row = Vector{};
    std::memcpy(&row, rest.data(), std::min(rest.size(), kChunk));
  }
  ByteVector bytes = reinterpret_cast<ByteVector&>(row);
  bytes = __builtin_shufflevector(bytes, bytes, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16, 23, 22, 21,
                                  20, 27, 26, 25, 24, 31, 30, 29, 28);
  row = reinterpret_cast<Vector&>(bytes);
  // A character that counts as negative takes 256 less from its place, which is one from the place above.
  if (is_signed) row -= (row & 0x80808080u) << 1;
  if (rest.size() >= kChunk) return;

  const auto whole = static_cast<uint32_t>(rest.size() / 4);
  const uint32_t pad = static_cast<uint32_t>(rest.size()) * 0x01010101u;
  uint32_t partial = pad;
  for (size_t i = whole * 4; i < rest.size(); ++i) add_character(partial, rest[i], is_signed);
  const Vector places = {0, 1, 2, 3, 4, 5, 6, 7};
  row = places < whole ? row : (places > whole ? Vector{} + pad : Vector{} + partial);
}

// From a row a name to a vector a word.
EXTSCRUB_INLINE void transpose(Vector (&m)[8]) {
  Vector a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = __builtin_shufflevector(m[i], m[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[i + 1] = __builtin_shufflevector(m[i], m[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int k = 0; k < 2; ++k) {
      b[i + 2 * k] = __builtin_shufflevector(a[i + k], a[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 2 * k + 1] = __builtin_shufflevector(a[i + k], a[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; ++i) {
    m[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    m[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

struct Lanes {
  Vector a, b, c, d;
};

template <int kRound, int kShift>
EXTSCRUB_INLINE void step(Lanes& s, const Vector& word) {
  constexpr uint32_t kConstants[3] = {0, 0x5A827999, 0x6ED9EBA1};
  Vector sum = s.a + word + kConstants[kRound];
  if constexpr (kRound == 0) sum += s.d ^ (s.b & (s.c ^ s.d));
  if constexpr (kRound == 1) sum += (s.b & s.c) + ((s.b ^ s.c) & s.d);
  if constexpr (kRound == 2) sum += s.b ^ s.c ^ s.d;
  sum = sum << kShift | sum >> (32 - kShift);
  s.a = s.d, s.d = s.c, s.c = s.b, s.b = sum;
}

// Three rounds of MD4 over eight words, each used once a round, in its own order and with its own shifts.
EXTSCRUB_INLINE void mix(Lanes& state, const Vector (&in)[8]) {
  Lanes s = state;
  step<0, 3>(s, in[0]), step<0, 7>(s, in[1]), step<0, 11>(s, in[2]), step<0, 19>(s, in[3]);
  step<0, 3>(s, in[4]), step<0, 7>(s, in[5]), step<0, 11>(s, in[6]), step<0, 19>(s, in[7]);
  step<1, 3>(s, in[1]), step<1, 5>(s, in[3]), step<1, 9>(s, in[5]), step<1, 13>(s, in[7]);
  step<1, 3>(s, in[0]), step<1, 5>(s, in[2]), step<1, 9>(s, in[4]), step<1, 13>(s, in[6]);
  step<2, 3>(s, in[3]), step<2, 9>(s, in[7]), step<2, 11>(s, in[2]), step<2, 15>(s, in[6]);
  step<2, 3>(s, in[1]), step<2, 9>(s, in[5]), step<2, 11>(s, in[0]), step<2, 15>(s, in[4]);
  state.a += s.a, state.b += s.b, state.c += s.c, state.d += s.d;
}

template <bool kSigned>
EXTSCRUB_INLINE void run(const HashSeed& seed, std::span<const std::string_view> names, const char* end,
                         std::span<uint32_t> hashes) {
  Lane lanes[kLanes];
  Vector rows[8] = {};
  alignas(Vector) uint32_t begins[kLanes] = {}, results[kLanes];  // begins: all ones where a name does
  Lanes state{};
  size_t next = 0, busy = 0;
  // Takes the next name that is not empty; the hash of an empty one is what the computation begins with.
  const auto refill = [&](size_t i) __attribute__((always_inline)) {
    while (next < names.size() && names[next].empty()) hashes[next++] = seed[1] & ~1u;
    lanes[i].busy = next < names.size();
    if (!lanes[i].busy) return;
    ++busy;
    lanes[i].rest = names[next];
    lanes[i].index = next++;
    begins[i] = ~0u;
  };
  for (size_t i = 0; i < kLanes; ++i) refill(i);
  while (busy > 0) {
    for (size_t i = 0; i < kLanes; ++i)
      if (lanes[i].busy) pack(lanes[i].rest, end, kSigned, rows[i]);
    transpose(rows);
    Vector fresh;
    std::memcpy(&fresh, begins, sizeof fresh);
    state.a = (state.a & ~fresh) | (fresh & seed[0]);
    state.b = (state.b & ~fresh) | (fresh & seed[1]);
    state.c = (state.c & ~fresh) | (fresh & seed[2]);
    state.d = (state.d & ~fresh) | (fresh & seed[3]);
    mix(state, rows);
    std::memcpy(results, &state.b, sizeof results);
    for (size_t i = 0; i < kLanes; ++i) {
      Lane& lane = lanes[i];
      if (!lane.busy) continue;
      begins[i] = 0;
      if (lane.rest.size() > kChunk) {
        lane.rest.remove_prefix(kChunk);
        continue;
      }
      hashes[lane.index] = results[i] & ~1u;
      --busy;
      refill(i);
    }
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void run_avx2(const HashSeed& seed, bool is_signed, std::span<const std::string_view> names,
                                              const char* end, std::span<uint32_t> hashes) {
  return is_signed ? run<true>(seed, names, end, hashes) : run<false>(seed, names, end, hashes);
}

const bool kHasAvx2 = __builtin_cpu_supports("avx2");
#endif

}  // namespace

void half_md4_portable(const HashSeed& seed, bool is_signed, std::span<const std::string_view> names, const char* end,
                       std::span<uint32_t> hashes) {
  return is_signed ? run<true>(seed, names, end, hashes) : run<false>(seed, names, end, hashes);
}

void half_md4(const HashSeed& seed, bool is_signed, std::span<const std::string_view> names, const char* end,
              std::span<uint32_t> hashes) {
#if defined(__x86_64__)
  if (kHasAvx2) return run_avx2(seed, is_signed, names, end, hashes);
#endif
  half_md4_portable(seed, is_signed, names, end, hashes);
}

}  // namespace extscrub
