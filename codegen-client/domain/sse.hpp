#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace cambrian::codegen {

/// Cuts a stream of server-sent events into the data of its events. Bytes may be split anywhere,
/// inside a UTF-8 character too. Lines end with LF, CR or CRLF; lines of comments and fields other
/// than `data` are skipped; several `data` lines of one event are joined by newlines.
/// Source: WHATWG HTML, "Server-sent events", section 9.2.6, except that an event at the end of the
/// stream counts even without its blank line: servers forget it.
class SseParser {
 public:
  /// Largest event, and longest line, in bytes.
  static constexpr std::size_t kEventBytesMax = std::size_t{1} << 20;

  /// Data of the events that became complete. Errors: exhausted when one is too large; the stream
  /// must then be given up.
  Result<std::vector<std::string>> feed(std::string_view bytes);

  /// Data of an event that the end of the stream completes.
  Result<std::vector<std::string>> finish();

 private:
  Status end_line(std::vector<std::string>& events);

  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool is_after_cr_ = false;
  bool is_first_line_ = true;
};

}  // namespace cambrian::codegen
