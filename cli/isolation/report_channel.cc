#include "cli/isolation/report_channel.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace extscrub {

namespace {

constexpr size_t kHeader = 1 + sizeof(uint64_t);       // bytes: kind, length
constexpr uint64_t kMostOther = uint64_t{1} << 20;     // bytes of a frame that is no report
constexpr uint64_t kMostTargets = uint64_t{1} << 16;   // of an image

template <class T>
std::string bytes_of_number(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

template <class T>
std::optional<T> take_number(std::string_view& bytes) {
  T number{};
  if (bytes.size() < sizeof number) return std::nullopt;
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return number;
}

// What a report can do without, when there is too much of it.
void shorten(ImageReport& report) {
  if (report.writeback) report.writeback->receipts = {};
  if (report.repairs && !report.repairs->dry_run) report.repairs->blocks = {};
  report.warnings.emplace_back("the receipts of what was written are left out of the report: there are too many");
}

}  // namespace

void ChannelWriter::send(FrameKind kind, std::string_view bytes) {
  const std::string header = static_cast<char>(kind) + bytes_of_number(uint64_t{bytes.size()});
  const std::lock_guard lock(mutex_);
  for (std::string_view part : {std::string_view(header), bytes})
    while (!part.empty()) {
      const ssize_t n = ::write(fd_, part.data(), part.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return;  // nobody listens any more
      part.remove_prefix(static_cast<size_t>(n));
    }
}

void ChannelWriter::begin(size_t index, size_t count, const ImageReport& begun) {
  send(FrameKind::begin, bytes_of_number(uint64_t{index}) + bytes_of_number(uint64_t{count}) + to_bytes(begun));
}

void ChannelWriter::writing(const std::filesystem::path& undo_log) { send(FrameKind::writing, undo_log.native()); }

void ChannelWriter::add(ImageReport report) {
  std::string bytes = to_bytes(report);
  if (bytes.size() > kMostReportBytes / 2) {
    shorten(report);
    bytes = to_bytes(report);
  }
  send(FrameKind::report, bytes);
}

void ChannelWriter::close_failed(const Error& error) { send(FrameKind::close_failed, error_to_bytes(error)); }

void ChannelWriter::text(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(std::min<size_t>(text.size(), kMostOther)))
    send(FrameKind::text, text.substr(0, kMostOther));
}

void ChannelWriter::end() { send(FrameKind::end, {}); }

int ChannelText::sync() {
  channel_.text(str());
  str({});
  return 0;
}

bool ChannelReader::feed(std::string_view bytes) {
  buffer_ += bytes;
  size_t at = 0;
  while (buffer_.size() - at >= kHeader) {
    std::string_view rest = std::string_view(buffer_).substr(at);
    const auto kind = static_cast<FrameKind>(rest.front());
    rest.remove_prefix(1);
    const uint64_t size = *take_number<uint64_t>(rest);
    if (size > (kind == FrameKind::report ? kMostReportBytes : kMostOther)) return false;
    if (rest.size() < size) break;
    if (!take(kind, rest.substr(0, size))) return false;
    at += kHeader + size;
  }
  buffer_.erase(0, at);
  return true;
}

bool ChannelReader::take(FrameKind kind, std::string_view bytes) {
  if (ended_) return false;
  switch (kind) {
    case FrameKind::text: text_ << bytes << std::flush; return true;
    case FrameKind::begin: return take_begin(bytes);
    case FrameKind::writing:
      if (!is_open_ || bytes.find('\0') != std::string_view::npos) return false;
      sink_.writing(bytes);
      return true;
    case FrameKind::report: return take_report(bytes);
    case FrameKind::close_failed: {
      const auto error = error_from_bytes(bytes, budget_);
      if (!error || is_open_ || next_ != count_) return false;
      sink_.close_failed(*error);
      return true;
    }
    case FrameKind::end: ended_ = bytes.empty() && !is_open_ && count_ > 0 && next_ == count_; return ended_;
  }
  return false;
}

bool ChannelReader::take_begin(std::string_view bytes) {
  const auto index = take_number<uint64_t>(bytes), count = take_number<uint64_t>(bytes);
  if (!index || !count || is_open_ || *index != next_ || *index >= *count || *count > kMostTargets) return false;
  if (count_ != 0 && *count != count_) return false;
  const auto begun = report_from_bytes(bytes, budget_);
  if (!begun) return false;
  count_ = *count;
  ++next_;
  is_open_ = true;
  sink_.begin(*index, *count, *begun);
  return true;
}

bool ChannelReader::take_report(std::string_view bytes) {
  if (!is_open_) return false;
  auto report = report_from_bytes(bytes, budget_);
  if (!report) return false;
  is_open_ = false;
  sink_.add(std::move(*report));
  return true;
}

}  // namespace extscrub
