#pragma once

#include <google/protobuf/message.h>

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/config/problem.hpp"

namespace cambrian::config {

/// A file as it was read: the places of its fields, and everything that is wrong with it.
class Document {
 public:
  Document() = default;
  Document(std::string file_name, std::string text)
      : file_name_(std::move(file_name)), text_(std::move(text)) {}

  bool is_ok() const { return problems_.empty(); }
  const std::string& file_name() const { return file_name_; }
  const std::vector<Problem>& problems() const { return problems_; }

  /// Adds a problem at a place.
  void add(Problem problem) { problems_.push_back(std::move(problem)); }

  /// Adds a problem with a field, found by a check behind the reader or by the server: the place is
  /// that of the field, or of the nearest field above it that is in the file. Paths are written as
  /// `budget.evaluations`, `objectives[0].metric`, `task.parameters.width`; the server's paths may
  /// begin with `spec.` or `bundle.manifest.`.
  void add_field_problem(std::string_view path, std::string message, std::string fix = "");

  /// Where a field is, or the nearest field above it.
  Place find_place(std::string_view path) const;

  /// True when the file sets this field.
  bool has(std::string_view path) const { return places_.contains(std::string(path)); }

  void remember(std::string path, Place place) { places_[std::move(path)] = place; }

  /// All problems for a terminal.
  std::string render(RenderOptions options = {}) const {
    return render_problems(file_name_, text_, problems_, options);
  }

 private:
  std::string file_name_;
  std::string text_;
  std::map<std::string, Place, std::less<>> places_;
  std::vector<Problem> problems_;
};

/// Reads YAML or JSON text into `message` by its descriptor. All problems are in the document; the
/// message holds what could be read.
Document read_yaml(std::string file_name, std::string text, google::protobuf::Message& message);

/// A file and the message that was read from it.
template <class T>
struct ReadFile {
  T message;
  Document document;
};

/// The content of a file of at most `bytes_max` bytes. not_found, invalid_argument (a directory,
/// too large) or unavailable (not readable), with the path and the reason.
Result<std::string> read_text_file(const std::filesystem::path& path, std::size_t bytes_max);

/// Reads a file. An error only when it cannot be opened; problems with its content are in the
/// document.
template <class T>
Result<ReadFile<T>> read_yaml_file(const std::filesystem::path& path);

/// The configuration file of a program: any problem is an invalid_argument whose message is the
/// rendered list, ready for the terminal. An empty path gives the defaults.
template <class T>
Result<T> read_config_file(const std::filesystem::path& path);

// Implementation of the templates.

/// Largest file that read_yaml_file opens; the same as yaml_tree.hpp's limit.
inline constexpr std::size_t kYamlFileBytesMax = std::size_t{1} << 20;

template <class T>
Result<ReadFile<T>> read_yaml_file(const std::filesystem::path& path) {
  CAMBRIAN_TRY(std::string text, read_text_file(path, kYamlFileBytesMax));
  ReadFile<T> file;
  file.document = read_yaml(path.string(), std::move(text), file.message);
  return file;
}

template <class T>
Result<T> read_config_file(const std::filesystem::path& path) {
  if (path.empty()) return T{};
  CAMBRIAN_TRY(ReadFile<T> file, read_yaml_file<T>(path));
  if (!file.document.is_ok()) return fail(Errc::invalid_argument, file.document.render());
  return std::move(file.message);
}

}  // namespace cambrian::config
