#include "codegen-client/domain/sse.hpp"

#include <utility>

namespace cambrian::codegen {

Result<std::vector<std::string>> SseParser::feed(std::string_view bytes) {
  std::vector<std::string> events;
  for (const char c : bytes) {
    const bool is_rest_of_crlf = c == '\n' && is_after_cr_;
    is_after_cr_ = c == '\r';
    if (is_rest_of_crlf) continue;
    if (c == '\n' || c == '\r') {
      CAMBRIAN_TRY_STATUS(end_line(events));
    } else if (line_.size() < kEventBytesMax) {
      line_ += c;
    } else {
      return fail(Errc::exhausted, "line of an event stream is too long: bytes_max=" +
                                       std::to_string(kEventBytesMax));
    }
  }
  return events;
}

Result<std::vector<std::string>> SseParser::finish() {
  std::vector<std::string> events;
  if (!line_.empty()) CAMBRIAN_TRY_STATUS(end_line(events));
  CAMBRIAN_TRY_STATUS(end_line(events));
  return events;
}

Status SseParser::end_line(std::vector<std::string>& events) {
  std::string line = std::exchange(line_, {});
  if (std::exchange(is_first_line_, false) && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  if (line.empty()) {
    if (has_data_) events.push_back(std::exchange(data_, {}));
    has_data_ = false;
    return {};
  }
  const std::size_t colon = line.find(':');
  if (std::string_view(line).substr(0, colon) != "data") return {};
  std::string_view value;
  if (colon != std::string::npos) value = std::string_view(line).substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (data_.size() + value.size() >= kEventBytesMax) {
    return fail(Errc::exhausted,
                "event of a stream is too large: bytes_max=" + std::to_string(kEventBytesMax));
  }
  if (has_data_) data_ += '\n';
  data_ += value;
  has_data_ = true;
  return {};
}

}  // namespace cambrian::codegen
