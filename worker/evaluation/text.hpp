#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cambrian::worker {

/// Keeps the head and the tail of a stream and counts what it drops, so that a program that prints
/// for ever costs a fixed amount of memory. Not safe to share between threads.
class CappedLog {
 public:
  /// Keeps at most about `bytes_max` bytes: half from the head, half from the tail.
  explicit CappedLog(std::size_t bytes_max) : half_(bytes_max / 2) {}

  void append(std::string_view bytes);
  /// Everything that was appended, dropped bytes included.
  std::uint64_t bytes_total() const { return total_; }
  /// Head, a line that counts the dropped bytes, tail.
  std::string text() const;

 private:
  std::size_t half_;
  std::string head_;
  std::string tail_;
  std::uint64_t total_ = 0;
};

/// Text as it may be stored, shown and sent: valid UTF-8, without terminal escapes and without
/// control characters other than newline and tab. Invalid bytes become '?'.
std::string sanitise(std::string_view text);

/// At most `bytes_max` bytes, cut in the middle with a line that counts what is missing.
std::string shorten(std::string_view text, std::size_t bytes_max);

/// Removes the folders of the worker and of the sandbox from messages that go to a code model, so
/// that /src/model.cpp:3 becomes model.cpp:3. `folders` are absolute; the longest wins.
std::string scrub_paths(std::string_view text, std::vector<std::string> folders);

}  // namespace cambrian::worker
