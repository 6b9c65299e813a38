// The second half of the directory editor: how what was changed gets back into blocks.
#include <algorithm>

#include "audit/edit/directory_editor.h"
#include "audit/stage/htree_builder.h"
#include "audit/stage/inline_directory.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

constexpr unsigned kUsualFill = 80, kFullFill = 100;  // percent of a leaf; room for new names keeps leaves from splitting

uint64_t bytes_of(const EntryForm& form, std::span<const DirName* const> names) {
  uint64_t sum = 0;
  for (const DirName* n : names) sum += form.size_of(*n);
  return sum;
}

}  // namespace

bool DirectoryEditor::fits(const Block& b) const {
  const uint64_t dots = b.logical == 0 ? EntryForm::dots() : 0;
  return bytes_of(form_, names_in(b)) + dots <= form_.room();
}

// All that changed can be written where it lies; what is new comes behind it.
bool DirectoryEditor::can_stay() const {
  return !lay_out_ && std::ranges::all_of(blocks_, [&](const Block& b) {
    return !b.changed || (!b.node && !(b.fresh && (indexed_ || space_.has_holes())) && fits(b));
  });
}

Result<bool> DirectoryEditor::store() {
  if (in_inode_) return store_inline();
  return can_stay() ? store_in_place() : store_anew();
}

Result<bool> DirectoryEditor::store_inline() {
  if (!readable_ || !may_seal_) return false;
  const Geometry& g = fs_->geometry;
  if (mend_inline_) mend_inline_size(g, ino_, raw_);
  const auto areas = inline_areas(g, ino_, raw_);
  Names names;
  for (const Block& b : blocks_) std::ranges::copy(names_in(b), std::back_inserter(names));
  const size_t in_first = names_that_fit(form_, static_cast<uint32_t>(areas->first.size()), names);
  const auto rest = std::span(names).subspan(in_first);
  if (bytes_of(form_, rest) <= areas->second.size()) {
    put_names(form_, std::span(names).first(in_first), areas->first);
    put_names(form_, rest, areas->second);
    drop_value_hash(g, ino_, raw_);
    extscrub::store(raw_, offsetof(ext2_inode, i_block), form_.parent.value);
    seal_inode(g, ino_, raw_);
    return true;
  }
  // It outgrows the inode.
  const std::vector<std::byte> before(raw_.begin(), raw_.end());
  leave_inode(g, ino_, raw_);
  auto stored = store_linear(names);
  if (!stored || !*stored) std::ranges::copy(before, raw_.begin());
  return stored;
}

Result<bool> DirectoryEditor::store_in_place() {
  if (std::ranges::any_of(blocks_, [this](const Block& b) { return b.changed && !may_write(b); })) return false;
  const auto fresh = static_cast<uint64_t>(std::ranges::count_if(blocks_, &Block::fresh));
  if (fresh > 0) {
    if (!readable_ || !may_seal_) return false;
    auto grown = space_.resize(space_.count() + fresh);
    if (!grown || !*grown) return grown;
  }
  for (const Block& b : blocks_) {
    if (!b.changed) continue;
    auto block = edit(b.logical);
    if (!block) return std::unexpected(block.error());
    put_leaf(form_, b.logical == 0, names_in(b), *block);
  }
  return true;
}

Result<bool> DirectoryEditor::store_anew() {
  if (!readable_ || !may_seal_) return false;
  if (!std::ranges::all_of(blocks_, [this](const Block& b) { return may_write(b); })) return false;
  Names names;
  for (const Block& b : blocks_) std::ranges::copy(names_in(b), std::back_inserter(names));
  // What fits into one block needs no index.
  if (indexed_ && fs_->geometry.has_compat(EXT2_FEATURE_COMPAT_DIR_INDEX) &&
      bytes_of(form_, names) + EntryForm::dots() > form_.room()) {
    auto stored = store_index(names);
    if (!stored || *stored) return stored;
  }
  return store_linear(names);
}

// False: there is no such index, or no space for it.
Result<bool> DirectoryEditor::store_index(const Names& names) {
  const DirHasher hasher(fs_->super);
  HtreeBuilder builder(fs_->geometry, hasher, form_, hash_version_, folded_);
  for (const unsigned percent : {kUsualFill, kFullFill}) {
    const auto blocks = builder.plan(names, percent);
    if (!blocks) return false;
    auto resized = space_.replace(*blocks);
    if (!resized) return resized;
    if (!*resized) continue;
    for (uint64_t i = 0; i < *blocks; ++i) {
      auto block = edit(i);
      if (!block) return std::unexpected(block.error());
      builder.write(i, *block);
    }
    set_indexed(true);
    return true;
  }
  return false;
}

Result<bool> DirectoryEditor::store_linear(const Names& names) {
  std::vector<std::span<const DirName* const>> leaves;
  std::span<const DirName* const> rest(names);
  do {
    const size_t n = names_that_fit(form_, form_.room() - (leaves.empty() ? EntryForm::dots() : 0), rest);
    leaves.push_back(rest.first(n));
    rest = rest.subspan(n);
  } while (!rest.empty());
  auto resized = space_.replace(leaves.size());
  if (!resized || !*resized) return resized;
  for (size_t i = 0; i < leaves.size(); ++i) {
    auto block = edit(i);
    if (!block) return std::unexpected(block.error());
    put_leaf(form_, i == 0, leaves[i], *block);
  }
  set_indexed(false);
  return true;
}

void DirectoryEditor::set_indexed(bool indexed) {
  const auto before = load<uint32_t>(raw_, offsetof(ext2_inode, i_flags));
  const uint32_t flags = indexed ? before | EXT2_INDEX_FL : before & ~uint32_t{EXT2_INDEX_FL};
  if (flags == before) return;
  extscrub::store(raw_, offsetof(ext2_inode, i_flags), flags);
  seal_inode(fs_->geometry, ino_, raw_);
}

}  // namespace extscrub
