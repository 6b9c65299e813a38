#include "tests/writeback/writeback_support.h"
#include "writeback/device/write_plan.h"

namespace extscrub::test::wb {

namespace {

std::vector<Piece> plan(const std::vector<uint64_t>& blocks, const ImageShape& shape) {
  std::vector<BlockNo> numbers;
  for (const uint64_t b : blocks) numbers.emplace_back(b);
  return plan_pieces(numbers, shape);
}

constexpr uint64_t KiB = 1024, MiB = 1024 * KiB;

// Pieces of one wave that share a sector could be in flight together.
bool waves_are_disjoint(const std::vector<Piece>& pieces, uint32_t alignment) {
  for (const bool second : {false, true}) {
    uint64_t last_sector_end = 0;
    for (const Piece& piece : pieces) {
      if (piece.second_wave != second) continue;
      if (piece.extent.at / alignment * alignment < last_sector_end) return false;
      last_sector_end = (piece.extent.end() + alignment - 1) / alignment * alignment;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("adjacent blocks are one write, up to 256 KiB; others are writes of their own") {
  const ImageShape shape{{0, 64 * MiB}, 4096, 512};
  std::vector<uint64_t> blocks{2, 3, 5};
  for (uint64_t b = 100; b < 200; ++b) blocks.push_back(b);
  const auto pieces = plan(blocks, shape);
  REQUIRE(pieces.size() == 4);
  CHECK((pieces[0].extent.at == 8192 && pieces[0].extent.length == 8192 && pieces[0].count == 2));
  CHECK((pieces[1].extent.at == 20480 && pieces[1].extent.length == 4096 && pieces[1].first == 2));
  CHECK((pieces[2].extent.length == 256 * KiB && pieces[2].count == 64));
  CHECK((pieces[3].extent.length == 36 * 4096 && pieces[3].first == 3 + 64));
  for (const auto& piece : pieces) CHECK((piece.whole && !piece.second_wave));
}

TEST_CASE("blocks of one sector are one piece, widened to it") {
  const ImageShape shape{{0, 64 * KiB}, 1024, 4096};
  const auto pieces = plan({5, 6, 9, 63}, shape);
  REQUIRE(pieces.size() == 2);
  CHECK((pieces[0].extent.at == 4096 && pieces[0].extent.length == 8192 && pieces[0].count == 3 && !pieces[0].whole));
  CHECK((pieces[1].extent.at == 60 * KiB && pieces[1].extent.length == 4096));
}

TEST_CASE("nothing is widened over the image's ends") {
  const ImageShape shape{{512, 64 * KiB + 700}, 1024, 4096};
  const auto pieces = plan({0, 64}, shape);
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].extent.at == 512);
  CHECK(pieces[1].extent.end() == 512 + 64 * KiB + 700);
}

TEST_CASE("long run of blocks askew to the sectors: bounded pieces, none in flight with one it shares a sector with") {
  const ImageShape shape{{512, 64 * MiB}, 4096, 4096};
  std::vector<uint64_t> blocks;
  for (uint64_t b = 1; b < 1000; ++b) blocks.push_back(b);
  const auto pieces = plan(blocks, shape);
  CHECK(pieces.size() > 10);
  size_t count = 0;
  for (const auto& piece : pieces) {
    CHECK(piece.extent.length <= kMaxPiece);
    count += piece.count;
  }
  CHECK(count == blocks.size());
  CHECK(waves_are_disjoint(pieces, 4096));
}

TEST_CASE("any staging: every block is covered, waves are disjoint") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const uint32_t block_size = 1024u << random() % 3, alignment = 512u << random() % 4;
    const ImageShape shape{{512 * (random() % 20), 4 * MiB + random() % block_size}, block_size, alignment};
    std::vector<uint64_t> blocks;
    for (uint64_t b = 0; b * block_size < shape.image.length; ++b)
      if (random() % 4 != 0) blocks.push_back(b);
    const auto pieces = plan(blocks, shape);
    size_t next = 0;
    for (const auto& piece : pieces) {
      REQUIRE(piece.first == next);
      next += piece.count;
      REQUIRE(piece.extent.at >= shape.image.at);
      REQUIRE(piece.extent.end() <= shape.image.end());
      REQUIRE(piece.extent.at <= shape.extent_of(BlockNo(blocks[piece.first])).at);
      REQUIRE(piece.extent.end() >= shape.extent_of(BlockNo(blocks[next - 1])).end());
    }
    REQUIRE(next == blocks.size());
    REQUIRE(waves_are_disjoint(pieces, alignment));
  }
}

}  // namespace extscrub::test::wb
