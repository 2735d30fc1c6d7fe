#include "worker/evaluator/source_archive.hpp"

#include <charconv>

namespace cambrian::worker {
namespace {

void append_field(std::string& to, const std::string& field) {
  to += std::to_string(field.size());
  to += ':';
  to += field;
}

// The field at `at`, which moves behind it.
std::optional<std::string> read_field(const std::string& text, std::size_t& at) {
  const std::size_t colon = text.find(':', at);
  if (colon == std::string::npos) return std::nullopt;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + colon, size);
  if (error != std::errc() || end != text.data() + colon) return std::nullopt;
  if (size > text.size() - colon - 1) return std::nullopt;
  at = colon + 1 + size;
  return text.substr(colon + 1, size);
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

std::optional<std::vector<ArchivedFile>> read_archive(const std::string& text) {
  std::vector<ArchivedFile> files;
  for (std::size_t at = 0; at < text.size();) {
    auto path = read_field(text, at);
    if (!path) return std::nullopt;
    auto content = read_field(text, at);
    if (!content) return std::nullopt;
    files.push_back({std::move(*path), std::move(*content)});
  }
  return files;
}

}  // namespace cambrian::worker
