// An image whose work came to no good end: what its report says then.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "cli/report/report.h"

namespace extscrub {

// It could not be looked at, and `error` says why.
void fail(ImageReport& report, Error error);
void cancel(ImageReport& report);

// Does `work`; where there is no memory for it, or it throws, the report says so, and the other images are still done.
template <typename Work>
void guard(ImageReport& report, const Work& work) {
  try {
    work();
  } catch (const std::bad_alloc&) {
    fail(report, Error{"there is not enough memory for this image"});
  } catch (const std::exception& exception) {
    fail(report, Error{std::string("internal error: ") + exception.what()});
  }
}

// The programs that pass the bytes on to a virtual disk did not come to a good end.
void take_close_failure(ImageReport& report, const Error& error);

// The report of an image that could not be audited, or whose audit was cancelled.
void report_failure(ImageReport& report, const Image& image, const Error& error);

}  // namespace extscrub
