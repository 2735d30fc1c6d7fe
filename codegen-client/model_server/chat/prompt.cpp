#include "codegen-client/model_server/chat/prompt.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "codegen-client/model_server/mutation/line_diff.hpp"

namespace cambrian::codemodel {
namespace {

constexpr std::size_t kDonorsMax = 16;
constexpr std::size_t kFailuresMax = 64;

std::string_view without_line_end(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

Language language_of(std::string_view info, std::string_view path) {
  const auto ends_with = [&](std::initializer_list<std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(),
                       [&](std::string_view ending) { return path.ends_with(ending); });
  };
  if (info == "cpp" || info == "c++" || info == "cc" || info == "cuda") return Language::cpp;
  if (info == "python" || info == "py") return Language::python;
  if (ends_with({".cpp", ".hpp", ".cc", ".h", ".cu"})) return Language::cpp;
  return ends_with({".py"}) ? Language::python : Language::other;
}

/// One fenced block, with the line before it where that names a file.
struct Block {
  std::string label;  ///< The line before the fence: `File: model.cpp`, `Change:`.
  std::string info;
  std::string content;
};

struct Section {
  std::string name;   ///< `Parent program`, `Inspiration 1`.
  std::string value;  ///< What follows the colon.
  std::vector<std::string> lines;
  std::vector<Block> blocks;
};

class MarkdownReader {
 public:
  explicit MarkdownReader(std::string_view text) : lines_(split_lines(text)) {}

  std::vector<Section> run() {
    sections_.push_back({});
    while (position_ < lines_.size()) {
      const std::string_view line = without_line_end(lines_[position_]);
      if (fence_of(line).size() >= 3) {
        read_block(line);
        continue;
      }
      if (line.starts_with("## ")) {
        start_section(line.substr(3));
      } else if (!line.empty()) {
        sections_.back().lines.emplace_back(line);
      }
      ++position_;
    }
    return std::move(sections_);
  }

 private:
  static std::string_view fence_of(std::string_view line) {
    return line.substr(0, std::min(line.find_first_not_of('`'), line.size()));
  }

  void start_section(std::string_view heading) {
    const auto colon = heading.find(": ");
    Section section;
    section.name = trimmed(heading.substr(0, colon));
    if (colon != std::string_view::npos) section.value = trimmed(heading.substr(colon + 2));
    sections_.push_back(std::move(section));
  }

  void read_block(std::string_view opening) {
    const std::string_view fence = fence_of(opening);
    Block block;
    block.info = trimmed(opening.substr(fence.size()));
    if (!sections_.back().lines.empty()) block.label = sections_.back().lines.back();
    for (++position_; position_ < lines_.size(); ++position_) {
      if (without_line_end(lines_[position_]) == fence) break;
      block.content += lines_[position_];
    }
    ++position_;
    sections_.back().blocks.push_back(std::move(block));
  }

  std::vector<std::string_view> lines_;
  std::size_t position_ = 0;
  std::vector<Section> sections_;
};

Program program_of(const Section& section) {
  Program program;
  for (const Block& block : section.blocks) {
    constexpr std::string_view kFile = "File: ";
    if (!block.label.starts_with(kFile)) continue;
    const std::string path = trimmed(block.label.substr(kFile.size()));
    program.files[path] = block.content;
    program.languages[path] = language_of(block.info, path);
  }
  return program;
}

Failure failure_of(const Section& section) {
  Failure failure;
  if (!section.lines.empty()) {
    const auto colon = section.lines.front().find(": ");
    if (colon != std::string::npos)
      failure.outcome = trimmed(section.lines.front().substr(colon + 2));
  }
  for (const Block& block : section.blocks) {
    if (block.label != "Change:") continue;
    for (const std::string_view line : split_lines(block.content)) {
      if (line.starts_with("---") || line.starts_with("+++")) continue;
      if (line.starts_with('-')) failure.removed.push_back(trimmed(line.substr(1)));
      if (line.starts_with('+')) failure.added.push_back(trimmed(line.substr(1)));
    }
  }
  return failure;
}

std::optional<std::uint64_t> seed_of(std::string_view value) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seed);
  if (error != std::errc{} || end != value.data() + value.size()) return std::nullopt;
  return seed;
}

void read_section(const Section& section, Prompt& prompt, std::optional<Program>& second) {
  MutationRequest& request = prompt.request;
  if (section.name == "Parent program") {
    request.parent = program_of(section);
  } else if (section.name == "Second parent") {
    second = program_of(section);
  } else if (section.name.starts_with("Inspiration") && request.donors.size() < kDonorsMax) {
    request.donors.push_back(program_of(section));
  } else if (section.name.starts_with("Failure") && request.failures.size() < kFailuresMax) {
    request.failures.push_back(failure_of(section));
  } else if (section.name == "Operator") {
    if (section.value == "rewrite") request.task = Task::rewrite;
    if (section.value == "crossover") request.task = Task::crossover;
    // Back to parts of the program that runs: it reads no diagnostics.
    if (section.value == "repair") request.task = Task::crossover;
    if (section.value == "simplify") request.task = Task::simplify;
    prompt.wants_files = section.value == "rewrite";
  } else if (section.name == "Variation seed") {
    const auto seed = seed_of(section.value);
    prompt.has_seed = seed.has_value();
    if (seed) request.seed = *seed;
  }
}

/// Any other client: the last fenced block that looks like a program.
void read_foreign(const std::vector<Section>& sections, std::string_view text, Prompt& prompt) {
  for (const Section& section : sections) {
    for (const Block& block : section.blocks) {
      constexpr std::string_view kFile = "File: ";
      std::string path = block.label.starts_with(kFile) ? block.label.substr(kFile.size()) : "";
      Language language = language_of(block.info, path);
      const bool has_torch = block.content.find("#include") != std::string::npos ||
                             block.content.find(';') != std::string::npos;
      if (language == Language::other) language = has_torch ? Language::cpp : Language::python;
      if (path.empty()) path = language == Language::cpp ? "program.cpp" : "program.py";
      prompt.request.parent.files = {{path, block.content}};
      prompt.request.parent.languages = {{path, language}};
    }
  }
  prompt.wants_files = text.find("SEARCH") == std::string_view::npos;
  prompt.request.task = prompt.wants_files ? Task::rewrite : Task::diff;
}

}  // namespace

Prompt read_prompt(const std::vector<Message>& messages) {
  Prompt prompt;
  std::optional<Program> second;
  std::vector<std::pair<std::vector<Section>, std::string_view>> read;
  for (const Message& message : messages) {
    if (message.role != "user") continue;
    read.emplace_back(MarkdownReader(message.content).run(), message.content);
    for (const Section& section : read.back().first) read_section(section, prompt, second);
  }
  if (second) prompt.request.donors.insert(prompt.request.donors.begin(), std::move(*second));
  for (std::size_t i = read.size(); i-- > 0 && prompt.request.parent.files.empty();) {
    read_foreign(read[i].first, read[i].second, prompt);
  }
  return prompt;
}

}  // namespace cambrian::codemodel
