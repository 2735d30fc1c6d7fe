#include "worker/evaluator/source_archive.hpp"

#include <algorithm>
#include <charconv>

namespace cambrian::worker {
namespace {

void append_field(std::string& to, std::string_view field) {
  to += std::to_string(field.size());
  to += ':';
  to += field;
}

// The field at `at`, which moves behind it.
std::optional<std::string_view> read_field(std::string_view text, std::size_t& at) {
  const std::size_t colon = text.find(':', at);
  if (colon == std::string_view::npos) return std::nullopt;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + colon, size);
  if (error != std::errc() || end != text.data() + colon) return std::nullopt;
  if (size > text.size() - colon - 1) return std::nullopt;
  at = colon + 1 + size;
  return text.substr(colon + 1, size);
}

bool is_inner(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.back() == '/') return false;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(std::min(path.size(), part.size() + 1));
  }
  return true;
}

}  // namespace

std::string write_archive(const std::vector<ArchivedFile>& files) {
  std::string text;
  for (const ArchivedFile& file : files) {
    append_field(text, file.path);
    append_field(text, file.content);
  }
  return text;
}

std::optional<std::vector<ArchivedFile>> read_archive(std::string_view text) {
  std::vector<ArchivedFile> files;
  for (std::size_t at = 0; at < text.size();) {
    const auto path = read_field(text, at);
    if (!path || !is_inner(*path)) return std::nullopt;
    const auto content = read_field(text, at);
    if (!content) return std::nullopt;
    files.push_back({*path, *content});
  }
  return files;
}

}  // namespace cambrian::worker
