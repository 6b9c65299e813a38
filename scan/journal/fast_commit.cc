// Fast commits: records of single changes that follow the last full commit, in an area of their own behind the log.
// A run of tags counts only as far as a tail with the right checksum closes it.
#include <algorithm>

#include "scan/format/crc.h"
#include "scan/format/jbd2_format.h"
#include "scan/journal/journal.h"

namespace extscrub {

using namespace jbd2;

namespace {

// The lengths a tag's value can have, in bytes.
bool valid_length(uint16_t tag, size_t length) {
  switch (tag) {
    case kFcAddRange: return length == 16;
    case kFcDelRange: return length == 12;
    case kFcCreate:
    case kFcLink:
    case kFcUnlink: return length > 8 && length <= 8 + EXT2_NAME_LEN;
    case kFcInode: return length >= 4 + EXT2_GOOD_OLD_INODE_SIZE;
    case kFcPad: return true;
    case kFcTail: return length >= 8;
    case kFcHead: return length == 8;
    default: return false;
  }
}

class FastCommitScan {
 public:
  FastCommitScan(Journal& journal, uint32_t sequence) : journal_(journal), sequence_(sequence) {}

  // Goes through one block; false when the area ends here.
  bool block(Bytes bytes, uint64_t at, bool first) {
    if (first && load<uint16_t>(bytes) != kFcHead) return false;
    size_t offset = 0;
    while (offset + kFcTagSize <= bytes.size()) {
      const auto tag = load<uint16_t>(bytes, offset);
      const size_t length = load<uint16_t>(bytes, offset + 2);
      if (offset + kFcTagSize + length > bytes.size() || !valid_length(tag, length))
        return broken(JournalDefectKind::fast_commit_tag, at, tag);
      const Bytes whole = bytes.subspan(offset, kFcTagSize + length);
      if (!take(tag, whole, at)) return false;
      offset += whole.size();
    }
    return true;
  }

 private:
  bool take(uint16_t tag, Bytes whole, uint64_t at) {
    const Bytes value = whole.subspan(kFcTagSize);
    if (tag == kFcTail) {
      crc_ = crc32c(crc_, whole.first(kFcTagSize + sizeof(uint32_t)));
      const auto found = load<uint32_t>(value, 4);
      if (load<uint32_t>(value) != sequence_ || found != crc_) return broken(JournalDefectKind::fast_commit_checksum, at, found);
      std::ranges::move(pending_, std::back_inserter(journal_.fast_commits));
      pending_.clear();
      closed_ = true;
      crc_ = 0;
      return true;
    }
    if (tag == kFcHead) {
      if (load<uint32_t>(value) != 0) return broken(JournalDefectKind::fast_commit_tag, at, load<uint32_t>(value));
      if (load<uint32_t>(value, 4) != sequence_) return false;  // of an earlier time
    }
    crc_ = crc32c(crc_, whole);
    if (tag != kFcHead && tag != kFcPad) pending_.push_back({tag, {value.begin(), value.end()}});
    return true;
  }

  // Behind a valid tail lies whatever was there before; without one, the area says that it belongs here and does not.
  bool broken(JournalDefectKind kind, uint64_t at, uint64_t found) {
    if (!closed_) {
      journal_.facts.defects.push_back({kind, at, sequence_, 0, found});
      journal_.facts.whole = false;
    }
    return false;
  }

  Journal& journal_;
  uint32_t sequence_;
  uint32_t crc_ = 0;
  bool closed_ = false;  // there was a valid tail
  std::vector<FastCommitTag> pending_;
};

}  // namespace

void scan_fast_commits(Journal& journal, uint32_t sequence) {
  FastCommitScan scan(journal, sequence);
  std::vector<std::byte> block(journal.log.block_size());
  for (uint64_t at = journal.super.fc_first; at < journal.super.fc_end; ++at) {
    if (!journal.log.read(at, block)) {
      journal.facts.defects.push_back({JournalDefectKind::unreadable, at, sequence, 0, 0});
      journal.facts.whole = false;
      return;
    }
    if (!scan.block(block, at, at == journal.super.fc_first)) return;
  }
}

std::string_view name(JournalDefectKind kind) {
  using enum JournalDefectKind;
  switch (kind) {
    case inode_invalid: return "inode is no journal";
    case inode_map: return "inode's map is too short or has holes";
    case backup_map_used: return "inode is no journal, its backup in the superblock is";
    case device_missing: return "journal lies on another device, which was not given";
    case device_invalid: return "device holds no journal of this block size";
    case device_uuid: return "device holds another file system's journal";
    case magic: return "magic number";
    case block_type: return "type of the superblock";
    case unknown_features: return "unknown features";
    case fields_of_version_2: return "fields that version 1 does not have";
    case block_size: return "s_blocksize";
    case length: return "s_maxlen";
    case first: return "s_first";
    case start: return "s_start";
    case users: return "s_nr_users";
    case checksum_type: return "s_checksum_type";
    case checksum: return "s_checksum";
    case checksum_features: return "two kinds of checksums at once";
    case fast_commit_area: return "s_num_fc_blks";
    case not_empty: return "s_start of a file system that needs no recovery";
    case unreadable: return "block cannot be read";
    case descriptor_checksum: return "descriptor block";
    case revoke_checksum: return "revoke block";
    case commit_checksum: return "commit block";
    case block_checksum: return "logged block";
    case target: return "logged block belongs behind the end of the image";
    case revoke_count: return "r_count";
    case endless: return "log has no end";
    case fast_commit_checksum: return "fast commit";
    case fast_commit_tag: return "tag of a fast commit";
    case fast_commit_replay: return "fast commit does not go with the file system";
  }
  return "";
}

}  // namespace extscrub
