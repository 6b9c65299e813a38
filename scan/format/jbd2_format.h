// The structures of a jbd2 journal as they lie on the disk: offsets and numbers, and integers of the journal's byte order.
// Constants and views of somebody else's bytes: any thread.
#pragma once

#include <cstdint>

#include "scan/format/ondisk.h"

namespace extscrub::jbd2 {

inline constexpr uint32_t kMagic = 0xC03B3998;
inline constexpr uint32_t kMinBlocks = 1024;             // of a log
inline constexpr uint32_t kDefaultFastCommitBlocks = 256;

enum BlockType : uint32_t { kDescriptor = 1, kCommit = 2, kSuperV1 = 3, kSuperV2 = 4, kRevoke = 5 };

// The header of every block of the log that is not a logged block.
inline constexpr size_t kHeaderMagic = 0, kHeaderType = 4, kHeaderSequence = 8, kHeaderSize = 12;

// The journal superblock; version 1 ends behind s_errno.
inline constexpr size_t kBlockSize = 0x0C, kMaxLen = 0x10, kFirst = 0x14, kSequence = 0x18, kStart = 0x1C, kErrno = 0x20;
inline constexpr size_t kCompat = 0x24, kIncompat = 0x28, kRoCompat = 0x2C, kUuid = 0x30, kUsers = 0x40;
inline constexpr size_t kChecksumType = 0x50, kFastCommitBlocks = 0x54, kHead = 0x58, kChecksum = 0xFC;
inline constexpr size_t kSuperSize = 1024;
inline constexpr uint8_t kCrc32 = 1, kCrc32c = 4;        // checksum types

enum Compat : uint32_t { kCompatChecksum = 1 };
enum Incompat : uint32_t {
  kIncompatRevoke = 0x01,
  kIncompat64Bit = 0x02,
  kIncompatAsyncCommit = 0x04,
  kIncompatCsumV2 = 0x08,
  kIncompatCsumV3 = 0x10,
  kIncompatFastCommit = 0x20,
  kIncompatKnown = 0x3F,
};

// A tag of a descriptor block. The flags' lower half is at the same place in all forms; a UUID of 16 bytes follows
// where kTagSameUuid is not set.
inline constexpr size_t kTagBlock = 0, kTagChecksum16 = 4, kTagFlags16 = 6, kTagBlockHigh = 8, kTag3Checksum = 12;
inline constexpr size_t kTagUuidSize = 16;
enum TagFlags : uint16_t { kTagEscaped = 1, kTagSameUuid = 2, kTagDeleted = 4, kTagLast = 8 };

// A revoke block: the header, the number of bytes in use (this head included), then block numbers.
inline constexpr size_t kRevokeCount = 12, kRevokeHeadSize = 16;

// A commit block.
inline constexpr size_t kCommitChecksumType = 12, kCommitChecksumSize = 13, kCommitChecksum = 16;
inline constexpr size_t kCommitSeconds = 48, kCommitNanoseconds = 56;

// Fast commits, little-endian: tags of a kind, a length, and a value; they do not cross blocks.
enum FastCommit : uint16_t {
  kFcAddRange = 1,
  kFcDelRange = 2,
  kFcCreate = 3,
  kFcLink = 4,
  kFcUnlink = 5,
  kFcInode = 6,
  kFcPad = 7,
  kFcTail = 8,
  kFcHead = 9,
};
inline constexpr size_t kFcTagSize = 4;

[[nodiscard]] inline uint32_t be32(Bytes bytes, size_t at) { return __builtin_bswap32(load<uint32_t>(bytes, at)); }
[[nodiscard]] inline uint16_t be16(Bytes bytes, size_t at) { return __builtin_bswap16(load<uint16_t>(bytes, at)); }
[[nodiscard]] inline uint64_t be64(Bytes bytes, size_t at) { return __builtin_bswap64(load<uint64_t>(bytes, at)); }
inline void put_be32(MutableBytes bytes, size_t at, uint32_t value) { store(bytes, at, __builtin_bswap32(value)); }

}  // namespace extscrub::jbd2
