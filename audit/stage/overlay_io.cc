#include "audit/stage/overlay_io.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

namespace extscrub {

namespace {

// The overlay's address travels in the name that libext2fs hands to open().
constexpr std::string_view kPrefix = "overlay:";

Overlay* overlay_of(const char* name) {
  std::string_view text(name ? name : "");
  if (!text.starts_with(kPrefix)) return nullptr;
  text.remove_prefix(kPrefix.size());
  uintptr_t address = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), address, 16);
  return error == std::errc() && end == text.data() + text.size() ? reinterpret_cast<Overlay*>(address) : nullptr;
}

Overlay& overlay_of(io_channel channel) { return *static_cast<Overlay*>(channel->private_data); }

// Calls `piece(block, offset in it, place in the buffer, length)` for each overlay block that the bytes lie in.
template <class Piece>
errcode_t for_each_piece(uint32_t block_size, uint64_t at, size_t length, Piece&& piece) {
  for (size_t done = 0; done < length;) {
    const size_t offset = (at + done) % block_size;
    const size_t part = std::min<size_t>(block_size - offset, length - done);
    if (const errcode_t error = piece(BlockNo((at + done) / block_size), offset, done, part)) return error;
    done += part;
  }
  return 0;
}

errcode_t read_bytes(Overlay& overlay, uint64_t at, MutableBytes out) {
  std::vector<std::byte> block(overlay.block_size());
  return for_each_piece(overlay.block_size(), at, out.size(),
                        [&](BlockNo b, size_t offset, size_t done, size_t part) -> errcode_t {
                          if (offset == 0 && part == block.size())
                            return overlay.read(b, out.subspan(done, part)) ? 0 : EXT2_ET_SHORT_READ;
                          if (!overlay.read(b, block)) return EXT2_ET_SHORT_READ;
                          std::memcpy(out.data() + done, block.data() + offset, part);
                          return 0;
                        });
}

errcode_t write_bytes(Overlay& overlay, uint64_t at, Bytes in) {
  std::vector<std::byte> block(overlay.block_size());
  return for_each_piece(overlay.block_size(), at, in.size(),
                        [&](BlockNo b, size_t offset, size_t done, size_t part) -> errcode_t {
                          if (!overlay.read(b, block)) return EXT2_ET_SHORT_WRITE;
                          if (std::memcmp(block.data() + offset, in.data() + done, part) == 0) return 0;
                          auto staged = overlay.edit(b);
                          if (!staged) return EXT2_ET_SHORT_WRITE;
                          std::memcpy(staged->data() + offset, in.data() + done, part);
                          return 0;
                        });
}

// A negative count is a number of bytes.
size_t length_of(io_channel channel, int count) {
  return count < 0 ? static_cast<size_t>(-static_cast<int64_t>(count))
                   : static_cast<size_t>(count) * static_cast<size_t>(channel->block_size);
}

uint64_t offset_of(io_channel channel, unsigned long long block) { return block * static_cast<uint64_t>(channel->block_size); }

errcode_t io_open(const char* name, int, io_channel* channel);

errcode_t io_close(io_channel channel) {
  if (--channel->refcount > 0) return 0;
  ext2fs_free_mem(&channel->name);
  return ext2fs_free_mem(&channel);
}

errcode_t io_set_blksize(io_channel channel, int size) {
  channel->block_size = size;
  return 0;
}

errcode_t io_read64(io_channel channel, unsigned long long block, int count, void* data) {
  const MutableBytes out(static_cast<std::byte*>(data), length_of(channel, count));
  const errcode_t error = read_bytes(overlay_of(channel), offset_of(channel, block), out);
  if (error && channel->read_error)
    return channel->read_error(channel, static_cast<unsigned long>(block), count, data, out.size(), 0, error);
  return error;
}

errcode_t io_write64(io_channel channel, unsigned long long block, int count, const void* data) {
  const Bytes in(static_cast<const std::byte*>(data), length_of(channel, count));
  const errcode_t error = write_bytes(overlay_of(channel), offset_of(channel, block), in);
  if (error && channel->write_error)
    return channel->write_error(channel, static_cast<unsigned long>(block), count, data, in.size(), 0, error);
  return error;
}

errcode_t io_read(io_channel channel, unsigned long block, int count, void* data) {
  return io_read64(channel, block, count, data);
}

errcode_t io_write(io_channel channel, unsigned long block, int count, const void* data) {
  return io_write64(channel, block, count, data);
}

errcode_t io_flush(io_channel) { return 0; }  // what is staged stays staged

errcode_t io_write_byte(io_channel channel, unsigned long offset, int count, const void* data) {
  if (count < 0) return EXT2_ET_INVALID_ARGUMENT;
  return write_bytes(overlay_of(channel), offset, {static_cast<const std::byte*>(data), static_cast<size_t>(count)});
}

errcode_t io_set_option(io_channel, const char*, const char*) { return EXT2_ET_INVALID_ARGUMENT; }

errcode_t io_zeroout(io_channel channel, unsigned long long block, unsigned long long count) {
  const std::vector<std::byte> zeros(static_cast<size_t>(channel->block_size));
  for (; count > 0; --count, ++block)
    if (const errcode_t error = write_bytes(overlay_of(channel), offset_of(channel, block), zeros)) return error;
  return 0;
}

// A discarded block keeps its bytes: nothing may depend on them.
errcode_t io_discard(io_channel, unsigned long long, unsigned long long) { return 0; }

errcode_t io_readahead(io_channel channel, unsigned long long block, unsigned long long count) {
  overlay_of(channel).image().prefetch(offset_of(channel, block), count * static_cast<uint64_t>(channel->block_size));
  return 0;
}

// Never changed; libext2fs asks for a pointer that is not const.
io_manager overlay_manager() {
  static struct_io_manager manager = {
      .magic = EXT2_ET_MAGIC_IO_MANAGER,
      .name = "overlay",
      .open = io_open,
      .close = io_close,
      .set_blksize = io_set_blksize,
      .read_blk = io_read,
      .write_blk = io_write,
      .flush = io_flush,
      .write_byte = io_write_byte,
      .set_option = io_set_option,
      .get_stats = nullptr,
      .read_blk64 = io_read64,
      .write_blk64 = io_write64,
      .discard = io_discard,
      .cache_readahead = io_readahead,
      .zeroout = io_zeroout,
      .reserved = {},
  };
  return &manager;
}

errcode_t io_open(const char* name, int, io_channel* channel) {
  Overlay* overlay = overlay_of(name);
  if (!overlay) return EXT2_ET_BAD_DEVICE_NAME;
  io_channel io = nullptr;
  if (const errcode_t error = ext2fs_get_memzero(sizeof *io, &io)) return error;
  if (const errcode_t error = ext2fs_get_mem(std::strlen(name) + 1, &io->name)) {
    ext2fs_free_mem(&io);
    return error;
  }
  std::strcpy(io->name, name);
  io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
  io->manager = overlay_manager();
  io->block_size = 1024;
  io->refcount = 1;
  io->private_data = overlay;
  *channel = io;
  return 0;
}

}  // namespace

Error library_error(std::string what, errcode_t code) { return Error{fmt::format("{}: {}", what, error_message(code))}; }

Result<LibraryFileSystem> open_library(Overlay& overlay, uint32_t now) {
  const std::string name = fmt::format("{}{:x}", kPrefix, reinterpret_cast<uintptr_t>(&overlay));
  ext2_filsys fs = nullptr;
  const int flags = EXT2_FLAG_RW | EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES;
  if (const errcode_t error = ext2fs_open(name.c_str(), flags, 0, 0, overlay_manager(), &fs))
    return std::unexpected(library_error("libext2fs cannot open the file system", error));
  fs->flags |= EXT2_FLAG_MASTER_SB_ONLY;
  fs->now = now;
  return LibraryFileSystem(fs);
}

Result<void> flush_library(ext2_filsys fs) {
  if (const errcode_t error = ext2fs_write_bitmaps(fs))
    return std::unexpected(library_error("libext2fs cannot stage the bitmaps", error));
  if (const errcode_t error = ext2fs_flush(fs))
    return std::unexpected(library_error("libext2fs cannot stage the superblock", error));
  return {};
}

}  // namespace extscrub
