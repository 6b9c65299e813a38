// The CRCs, held against their definitions bit by bit; and the checksum of an inode, whichever way it is computed.
#include "scan/format/crc.h"

#include <random>
#include <vector>

#include "scan/format/checksum.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

uint32_t crc32c_by_bits(uint32_t crc, Bytes bytes) {
  for (const std::byte b : bytes) {
    crc ^= std::to_integer<uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
  }
  return crc;
}

std::vector<std::byte> random_bytes(std::mt19937& random, size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace

TEST_CASE("CRC32C of every short length and alignment, and of long ones", "[checksum]") {
  std::mt19937 random(1);
  const std::vector<std::byte> bytes = random_bytes(random, 70000);
  const auto check = [&](size_t at, size_t size) {
    INFO("at " << at << ", size " << size);
    const auto seed = static_cast<uint32_t>(random());
    const Bytes part = Bytes(bytes).subspan(at, size);
    REQUIRE(crc32c(seed, part) == crc32c_by_bits(seed, part));
  };
  for (size_t size = 0; size <= 600; ++size) check(size % 9, size);
  for (const size_t size : {1020u, 1024u, 4084u, 4096u, 65524u, 65536u}) check(3, size);
}

TEST_CASE("CRC32C goes on from where it was", "[checksum]") {
  std::mt19937 random(2);
  const std::vector<std::byte> bytes = random_bytes(random, 700);
  for (const size_t cut : {0u, 4u, 255u, 256u, 699u})
    CHECK(crc32c(crc32c(~0u, Bytes(bytes).first(cut)), Bytes(bytes).subspan(cut)) == crc32c(~0u, bytes));
}

TEST_CASE("checksum of inodes of every size, with and without its upper half", "[checksum]") {
  std::mt19937 random(3);
  for (const uint32_t size : {128u, 256u, 512u, 1024u, 4096u}) {
    for (const uint16_t extra : {uint16_t{0}, uint16_t{32}}) {
      INFO("size " << size << ", i_extra_isize " << extra);
      Geometry g;
      g.inode_size = size;
      g.csum_seed = 0x1234;
      g.ro_compat = EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
      std::vector<std::byte> raw = random_bytes(random, size);
      const bool hi = size > 128 && extra > 0;
      if (size > 128) store(MutableBytes(raw), offsetof(ext2_inode_large, i_extra_isize), extra);
      std::vector<std::byte> blank = raw;
      store(MutableBytes(blank), offsetof(ext2_inode, osd2.linux2.l_i_checksum_lo), uint16_t{0});
      if (hi) store(MutableBytes(blank), offsetof(ext2_inode_large, i_checksum_hi), uint16_t{0});
      const InodeNo ino(77);
      const auto generation = load<uint32_t>(raw, offsetof(ext2_inode, i_generation));
      const uint32_t seed = crc32c_by_bits(crc32c_by_bits(g.csum_seed, bytes_of(ino.value)), bytes_of(generation));
      const uint32_t expected = crc32c_by_bits(seed, blank);
      CHECK(inode_checksum(g, ino, raw) == (hi ? expected : expected & 0xFFFF));
    }
  }
}

TEST_CASE("CRC32C is run backwards", "[checksum]") {
  std::mt19937 random(4);
  const std::vector<std::byte> bytes = random_bytes(random, 700);
  for (const size_t size : {0u, 1u, 4u, 255u, 256u, 257u, 700u}) {
    const auto seed = static_cast<uint32_t>(random());
    const Bytes part = Bytes(bytes).first(size);
    CHECK(crc32c_before(crc32c_by_bits(seed, part), part) == seed);
  }
}

TEST_CASE("number that an inode was sealed with", "[checksum]") {
  std::mt19937 random(5);
  for (const uint32_t size : {256u, 512u, 1024u, 4096u}) {
    INFO("size " << size);
    Geometry g;
    g.inode_size = size;
    g.csum_seed = 0x89ABCDEF;
    g.ro_compat = EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
    std::vector<std::byte> raw = random_bytes(random, size);
    store(MutableBytes(raw), offsetof(ext2_inode_large, i_extra_isize), uint16_t{32});
    for (const InodeNo ino : {InodeNo(1), InodeNo(77), InodeNo(0x01020304), InodeNo(0xFFFFFFFF)}) {
      seal_inode(g, ino, raw);
      const std::vector<std::byte> before = raw;
      CHECK(sealed_inode_number(g, raw) == ino);
      CHECK(raw == before);
      raw[100] ^= std::byte{1};
      CHECK(sealed_inode_number(g, raw) != ino);
      raw[100] ^= std::byte{1};
    }
  }
}

TEST_CASE("inodes without 32 bits of checksum do not tell their number", "[checksum]") {
  Geometry g;
  g.inode_size = 128;
  g.ro_compat = EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  std::vector<std::byte> raw(256, std::byte{3});
  seal_inode(g, InodeNo(77), MutableBytes(raw).first(128));
  CHECK(sealed_inode_number(g, Bytes(raw).first(128)) == InodeNo());
  g.inode_size = 256;
  store(MutableBytes(raw), offsetof(ext2_inode_large, i_extra_isize), uint16_t{0});
  seal_inode(g, InodeNo(77), raw);
  CHECK(sealed_inode_number(g, raw) == InodeNo());
  store(MutableBytes(raw), offsetof(ext2_inode_large, i_extra_isize), uint16_t{32});
  g.ro_compat = 0;
  CHECK(sealed_inode_number(g, raw) == InodeNo());
}

}  // namespace extscrub::test
