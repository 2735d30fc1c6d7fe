#include "worker/evaluation/text.hpp"

#include <algorithm>

#include "common/base/utf8.hpp"

namespace cambrian::worker {
namespace {

std::string gap(std::uint64_t bytes) {
  return "\n[... " + std::to_string(bytes) + " bytes left out ...]\n";
}

// Length of the terminal escape at the start of `text`, which begins with ESC.
std::size_t escape_length(std::string_view text) {
  if (text.size() < 2 || text[1] != '[') return 1;
  std::size_t i = 2;
  while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
  return std::min(i + 1, text.size());
}

bool starts_word(std::string_view text, std::size_t at) {
  if (at == 0) return true;
  const char before = text[at - 1];
  const bool is_path = (before >= 'a' && before <= 'z') || (before >= 'A' && before <= 'Z') ||
                       (before >= '0' && before <= '9') || before == '_' || before == '/' ||
                       before == '.' || before == '-';
  return !is_path;
}

}  // namespace

void CappedLog::append(std::string_view bytes) {
  total_ += bytes.size();
  if (head_.size() < half_) {
    const std::size_t count = std::min(half_ - head_.size(), bytes.size());
    head_.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
  }
  if (bytes.size() >= half_) {
    tail_.assign(bytes.substr(bytes.size() - half_));
    return;
  }
  tail_.append(bytes);
  // Trimming at twice the size keeps the copying linear in what was appended.
  if (tail_.size() > 2 * half_) tail_.erase(0, tail_.size() - half_);
}

std::string CappedLog::text() const {
  const std::string_view tail =
      std::string_view(tail_).substr(tail_.size() - std::min(tail_.size(), half_));
  const std::uint64_t kept = head_.size() + tail.size();
  if (kept == total_) return head_ + std::string(tail);
  return head_ + gap(total_ - kept) + std::string(tail);
}

std::string sanitise(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    if (text[0] == '\x1b') {
      text.remove_prefix(escape_length(text));
      continue;
    }
    const std::size_t length = utf8_sequence_length(text);
    const bool is_control = length == 1 && static_cast<unsigned char>(text[0]) < 0x20 &&
                            text[0] != '\n' && text[0] != '\t';
    if (length == 0 || text[0] == '\x7f' || (is_control && text[0] != '\r')) {
      clean += '?';
      text.remove_prefix(1);
    } else if (text[0] == '\r') {
      // A progress bar that overwrites itself becomes lines.
      clean += '\n';
      text.remove_prefix(text.size() > 1 && text[1] == '\n' ? 2 : 1);
    } else {
      clean.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return clean;
}

std::string shorten(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  constexpr std::size_t kGapBytes = 48;
  const std::size_t kept = bytes_max > kGapBytes ? bytes_max - kGapBytes : 0;
  // Do not leave half a UTF-8 sequence on either side of the gap.
  const auto is_inside = [&](std::size_t at) { return (text[at] & 0xC0) == 0x80; };
  std::size_t head_end = kept / 2;
  while (head_end > 0 && is_inside(head_end)) --head_end;
  std::size_t tail_start = text.size() - kept / 2;
  while (tail_start < text.size() && is_inside(tail_start)) ++tail_start;
  const std::string head(text.substr(0, head_end));
  const std::string_view tail = text.substr(tail_start);
  return head + gap(text.size() - head.size() - tail.size()) + std::string(tail);
}

std::string scrub_paths(std::string_view text, std::vector<std::string> folders) {
  std::erase_if(folders, [](const std::string& folder) { return folder.size() < 2; });
  std::sort(folders.begin(), folders.end(),
            [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::string scrubbed;
  scrubbed.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    std::size_t skip = 0;
    if (text[at] == '/' && starts_word(text, at)) {
      for (const std::string& folder : folders) {
        const bool fits = text.substr(at).starts_with(folder);
        const std::size_t end = at + folder.size();
        if (fits && (end == text.size() || text[end] == '/')) {
          skip = folder.size() + (end < text.size() ? 1 : 0);
          break;
        }
      }
    }
    if (skip == 0) scrubbed += text[at++];
    at += skip;
  }
  return scrubbed;
}

}  // namespace cambrian::worker
