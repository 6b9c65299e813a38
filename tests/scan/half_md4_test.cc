// Half-MD4 over many names at once, held against libext2fs one by one.
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "scan/format/ext2fs.h"
#include "scan/format/half_md4.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// Names side by side in a buffer that ends with the last one, so that the address sanitizer sees a read behind it.
struct Names {
  explicit Names(const std::vector<std::string>& all) {
    for (const std::string& name : all) size += name.size();
    buffer = std::make_unique<char[]>(size);
    char* at = buffer.get();
    for (const std::string& name : all) {
      if (!name.empty()) std::memcpy(at, name.data(), name.size());
      names.emplace_back(at, name.size());
      at += name.size();
    }
  }
  [[nodiscard]] const char* end() const { return buffer.get() + size; }

  size_t size = 0;
  std::unique_ptr<char[]> buffer;
  std::vector<std::string_view> names;
};

uint32_t library_hash(bool is_signed, std::string_view name, const HashSeed& seed) {
  ext2_dirhash_t hash = 0;
  const int version = EXT2_HASH_HALF_MD4 + (is_signed ? 0 : EXT2_HASH_LEGACY_UNSIGNED);
  REQUIRE(ext2fs_dirhash(version, name.data(), static_cast<int>(name.size()), seed.data(), &hash, nullptr) == 0);
  return hash;
}

// Both ways of computing it give what the library gives for each name.
void check_all(const std::vector<std::string>& all, const HashSeed& seed) {
  const Names n(all);
  for (const bool is_signed : {false, true}) {
    std::vector<uint32_t> fast(all.size(), 1), portable(all.size(), 1);
    half_md4(seed, is_signed, n.names, n.end(), fast);
    half_md4_portable(seed, is_signed, n.names, n.end(), portable);
    for (size_t i = 0; i < all.size(); ++i) {
      INFO("name " << i << " of " << all.size() << ", length " << all[i].size() << ", signed " << is_signed);
      const uint32_t expected = library_hash(is_signed, all[i], seed);
      REQUIRE(fast[i] == expected);
      REQUIRE(portable[i] == expected);
    }
  }
}

std::string random_name(std::mt19937& random, size_t length) {
  std::string name(length, ' ');
  for (char& c : name) c = static_cast<char>(random());
  return name;
}

}  // namespace

TEST_CASE("half-MD4 of names of every length, one behind the other", "[directory][hash]") {
  std::mt19937 random(1);
  std::vector<std::string> all;
  for (size_t length = 1; length <= EXT2_NAME_LEN; ++length) all.push_back(random_name(random, length));
  check_all(all, {1, 2, 3, 4});
  std::ranges::reverse(all);
  check_all(all, {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476});
}

TEST_CASE("half-MD4 of few names and many, short and long side by side", "[directory][hash]") {
  std::mt19937 random(2);
  for (size_t count = 0; count <= 40; ++count) {
    std::vector<std::string> all;
    for (size_t i = 0; i < count; ++i) all.push_back(random_name(random, 1 + random() % (i % 3 == 0 ? 255 : 31)));
    check_all(all, {static_cast<uint32_t>(random()), 2, 3, static_cast<uint32_t>(random())});
  }
}

TEST_CASE("half-MD4 of empty names is the seed's", "[directory][hash]") {
  const Names n({"", "a", "", ""});
  std::vector<uint32_t> hashes(4);
  const HashSeed seed{1, 0x12345679, 3, 4};
  half_md4(seed, true, n.names, n.end(), hashes);
  CHECK(hashes[0] == 0x12345678);
  CHECK(hashes[1] == library_hash(true, "a", seed));
  CHECK(hashes[2] == 0x12345678);
  CHECK(hashes[3] == 0x12345678);
}

}  // namespace extscrub::test
