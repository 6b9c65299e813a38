// libext2fs. Its header of 1.47.1 and later has a macro that takes std::clamp's name.
#pragma once

#include <ext2fs/ext2fs.h>

#undef clamp
