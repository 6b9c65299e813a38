// What a name of the command line is opened as, for the time it is worked on: itself, the unpacked copy of a compressed
// image, or a virtual disk. An Input belongs to one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/disk/unpack.h"
#include "cli/disk/virtual_disk.h"
#include "cli/options/options.h"
#include "cli/process/environment.h"

namespace extscrub {

struct Input {
  std::string path;  // where to open it
  std::optional<UnpackedImage> copy = {};
  std::optional<VirtualDisk> disk = {};
  std::string warning = {};  // what else to know; empty: nothing
  std::vector<std::string> notes = {};  // what else to know under --verbose

  bool read_only = false;  // and has to be opened anew to be written to

  // To be called once nothing has it open any more. Error: what was written may not be there.
  [[nodiscard]] Result<void> close();
};

// Whether the disk behind the name has to be opened for writing before the first byte can be written. That alone may change it: a
// server repairs its tables, or marks them as damaged.
enum class Opening : uint8_t { reading, writing };

// Only a virtual disk or the disk of a server is opened for the one or the other.
// Errors: those of kind_of(); it cannot be unpacked, or is to be scrubbed and is compressed; those of VirtualDisk;
// cancelled. A plain image that is not there is none: who opens it says so.
[[nodiscard]] Result<Input> open_input(const std::string& name, Opening opening, const Options& options,
                                       const Environment& environment);

}  // namespace extscrub
