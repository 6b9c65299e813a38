// The hashes of directory indexes, held against those of libext2fs.

#include <random>
#include <string>

#include "scan/format/dir_hash.h"
#include "scan/format/ext2fs.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

ext2_super_block super_with(bool is_unsigned, uint32_t seed) {
  ext2_super_block super{};
  super.s_flags = is_unsigned ? EXT2_FLAGS_UNSIGNED_HASH : EXT2_FLAGS_SIGNED_HASH;
  for (uint32_t i = 0; i < 4; ++i) super.s_hash_seed[i] = seed * (i + 7);
  return super;
}

uint32_t library_hash(int version, const std::string& name, const ext2_super_block& super) {
  ext2_dirhash_t hash = 0;
  REQUIRE(ext2fs_dirhash(version, name.data(), static_cast<int>(name.size()), super.s_hash_seed, &hash, nullptr) == 0);
  return hash;
}

}  // namespace

TEST_CASE("directory hashes of all versions, signed and unsigned, seeded or not", "[directory][hash]") {
  std::mt19937 random(1);
  for (const bool is_unsigned : {false, true}) {
    for (const uint32_t seed : {0u, 0x12345679u}) {
      const ext2_super_block super = super_with(is_unsigned, seed);
      const DirHasher hasher(super);
      for (size_t length = 1; length <= EXT2_NAME_LEN; ++length) {
        std::string name(length, ' ');
        for (char& c : name) c = static_cast<char>(random());
        for (unsigned version : {EXT2_HASH_LEGACY, EXT2_HASH_HALF_MD4, EXT2_HASH_TEA}) {
          INFO("version " << version << ", unsigned " << is_unsigned << ", length " << length);
          const int library_version = static_cast<int>(version + (is_unsigned ? EXT2_HASH_LEGACY_UNSIGNED : 0));
          REQUIRE(hasher.hash(version, name) == library_hash(library_version, name, super));
        }
      }
    }
  }
}

TEST_CASE("directory hash of a version that does not exist", "[directory][hash]") {
  const DirHasher hasher(super_with(false, 3));
  CHECK_FALSE(hasher.hash(EXT2_HASH_SIPHASH, std::string("name")));
  CHECK_FALSE(hasher.hash(77, std::string("name")));
}

TEST_CASE("directory hash of a casefolded name is that of its folded form", "[directory][hash]") {
  ext2_super_block super = super_with(true, 5);
  super.s_feature_incompat = EXT4_FEATURE_INCOMPAT_CASEFOLD;
  super.s_encoding = EXT4_ENC_UTF8_12_1;
  const DirHasher hasher(super);
  CHECK(hasher.folded_hash(EXT2_HASH_HALF_MD4, std::string("Stra\xC3\x9F"
                                                           "e")) == hasher.hash(EXT2_HASH_HALF_MD4, std::string("strasse")));
  CHECK(hasher.same_folded(std::string("READ.ME"), std::string("read.me")));
  CHECK_FALSE(hasher.same_folded(std::string("READ.ME"), std::string("read.you")));
  CHECK(hasher.well_formed(std::string("name")));
  CHECK_FALSE(hasher.well_formed(std::string("\xFF\xFE")));
}

}  // namespace extscrub::test
