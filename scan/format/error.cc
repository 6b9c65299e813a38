#include "scan/format/error.h"

#include <algorithm>
#include <string_view>
#include <system_error>

namespace extscrub {

namespace {

std::string sentence(const Error& error, std::string_view subject) {
  std::string text = error.what;
  if (!text.empty() && !subject.empty()) text += ' ';
  text += subject;
  std::string_view after = error.after;
  if (text.empty()) after.remove_prefix(std::min(after.find_first_not_of(": "), after.size()));
  text += after;
  if (error.kind == ErrorKind::system) text += ": " + error_text(error.code);
  if (!error.advice.empty()) text += "; " + error.advice;
  return text;
}

}  // namespace

std::string error_text(int code) { return std::generic_category().message(code); }

Error system_error(std::string what, int code) { return {std::move(what), ErrorKind::system, code}; }

Error file_error(std::string what, std::string file, int code, std::string after) {
  return {std::move(what), ErrorKind::system, code, std::move(file), std::move(after)};
}

std::string text_of(const Error& error) { return sentence(error, error.subject); }

std::string text_beside(std::string_view name, const Error& error) {
  return sentence(error, error.subject == name ? std::string_view() : error.subject);
}

}  // namespace extscrub
