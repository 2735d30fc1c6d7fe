#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace cambrian {

/// A key or password. It cannot be printed, compared or copied by accident: whoever needs the
/// text says `reveal()`, and that is easy to search for. Wiped when it goes.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  ~Secret() { wipe(); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : text_(other.text_) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      text_ = other.text_;
      other.wipe();
    }
    return *this;
  }

  bool is_empty() const { return text_.empty(); }
  const std::string& reveal() const { return text_; }

  /// The text with every occurrence of the secret replaced: for words of others that may quote it.
  std::string redact(std::string text) const {
    constexpr std::string_view kMask = "[redacted]";
    if (text_.empty()) return text;
    for (std::size_t at = text.find(text_); at != std::string::npos;
         at = text.find(text_, at + kMask.size())) {
      text.replace(at, text_.size(), kMask);
    }
    return text;
  }

 private:
  // Volatile: a compiler may leave out stores to memory that is about to be freed.
  void wipe() noexcept {
    volatile char* bytes = text_.data();
    for (std::size_t i = 0; i < text_.size(); ++i) bytes[i] = 0;
    text_.clear();
  }

  std::string text_;
};

}  // namespace cambrian
