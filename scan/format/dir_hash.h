// The hash that orders the names of an indexed directory: legacy, half-MD4 or TEA, over signed or unsigned characters,
// and for casefolded directories over the folded name. SipHash needs the key of the encrypted directory; such entries
// carry their hash with them.
// A hasher is immutable: any thread.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "scan/format/half_md4.h"
#include "scan/format/ondisk.h"

struct ext2fs_nls_table;

namespace extscrub {

class DirHasher {
 public:
  // The seed and the signedness come from the superblock (s_hash_seed, s_flags), the folding from s_encoding.
  explicit DirHasher(const ext2_super_block& super);

  // The hash of `name` by dx_root_info's hash_version (EXT2_HASH_LEGACY, _HALF_MD4, _TEA), bit 0 clear as in the index.
  // Nothing for a version that cannot be computed.
  [[nodiscard]] std::optional<uint32_t> hash(unsigned version, std::span<const char> name) const;
  // The same for many names, by one of those versions. They lie in a buffer that can be read up to `end`.
  void hash_all(unsigned version, std::span<const std::string_view> names, const char* end, std::span<uint32_t> hashes) const;
  [[nodiscard]] std::optional<uint32_t> folded_hash(unsigned version, std::span<const char> name) const;

  // Whether the names are one name in a casefolded directory.
  [[nodiscard]] bool same_folded(std::span<const char> a, std::span<const char> b) const;
  // Whether the name is well-formed in the file system's encoding.
  [[nodiscard]] bool well_formed(std::span<const char> name) const;
  // Where its first malformed character begins.
  [[nodiscard]] std::optional<size_t> malformed_at(std::span<const char> name) const;

 private:
  HashSeed seed_;  // as the computation begins
  std::array<uint32_t, 4> stored_seed_;
  bool signed_ = true;
  const ext2fs_nls_table* encoding_ = nullptr;  // static data of the library
};

}  // namespace extscrub
