#pragma once

#include <cstddef>
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

  /// Shorter ones are no secrets but words that stand for none ("x", "-").
  static constexpr std::size_t kBytesMin = 4;

  /// The text with every occurrence of the secret replaced, and its beginning at the end of the
  /// text: for words of others that may quote it, and that may have been cut. To be used before
  /// the text is shortened.
  std::string redact(std::string text) const {
    constexpr std::string_view kMask = "[redacted]";
    // A shorter beginning tells nothing, and may be there by chance.
    constexpr std::size_t kBeginningMin = 8;
    if (text_.size() < kBytesMin) return text;
    for (std::size_t at = text.find(text_); at != std::string::npos;
         at = text.find(text_, at + kMask.size())) {
      text.replace(at, text_.size(), kMask);
    }
    for (std::size_t length = text_.size() - 1; length >= kBeginningMin; --length) {
      if (!text.ends_with(std::string_view(text_).substr(0, length))) continue;
      return text.replace(text.size() - length, length, kMask);
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
