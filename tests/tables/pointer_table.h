// The table of pointers gone wrong: each field set to each target, audited, mended by all repairs and by the safe ones, and
// mended in two goes. Every row is held against the same promises. One thread.
//
// EXTSCRUB_WHOLE_TABLE=1 in the environment: all rows, and each is cut off behind every write, not one in a few.
// EXTSCRUB_TABLE_KIND=NAME: only that kind of image.
// EXTSCRUB_KEEP_IMAGES=DIR: the image of each row, mended, stays there.
#pragma once

#include "tests/tables/pointer_image.h"

namespace extscrub::test {

using FieldsOf = std::vector<PointerField> (*)(const PointerImage&);
using TargetsOf = std::vector<PointerTarget> (*)(const PointerImage&, const PointerField&);

// Of all kinds of images, with the checksums as if the pointers had been written like that, and as they were.
void judge_table(FieldsOf fields, TargetsOf targets);

}  // namespace extscrub::test
