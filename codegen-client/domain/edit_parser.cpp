#include <algorithm>
#include <charconv>

#include "codegen-client/domain/edit.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/source/evolve_block.hpp"

namespace cambrian::codegen {
namespace {

using Lines = std::vector<std::string_view>;

/// `<<<<<<< SEARCH` and `>>>>>>> REPLACE` with five to nine signs; anything may follow the word.
bool is_marker(std::string_view line, char sign, std::string_view word) {
  line = trim(line);
  const std::size_t count = std::min(line.find_first_not_of(sign), line.size());
  if (count < 5 || count > 9) return false;
  return trim(line.substr(count)).starts_with(word);
}
bool is_search(std::string_view line) { return is_marker(line, '<', "SEARCH"); }
bool is_replace(std::string_view line) { return is_marker(line, '>', "REPLACE"); }
bool is_divider(std::string_view line) { return trim_right(line) == "======="; }

/// A path with the signs around it that models like: quotes, stars, a list's dash, a colon.
std::string_view clean_path(std::string_view text) {
  constexpr std::string_view kDecoration = " \t\r`'\"*#:";
  if (trim(text).starts_with("- ")) text = trim(text).substr(2);
  const std::size_t begin = text.find_first_not_of(kDecoration);
  if (begin == std::string_view::npos) return {};
  text = text.substr(begin, text.find_last_not_of(kDecoration) + 1 - begin);
  if (text.starts_with("./")) text.remove_prefix(2);
  return text;
}

/// The path that a line names, if it does.
std::optional<std::string> named_path(std::string_view line,
                                      const std::vector<std::string>& paths) {
  constexpr std::size_t kPathBytesMax = 512;
  if (line.size() > kPathBytesMax) return std::nullopt;
  std::string_view text = clean_path(line);
  if (std::find(paths.begin(), paths.end(), text) != paths.end()) return std::string(text);
  if (!to_lower(text.substr(0, 5)).starts_with("file:")) return std::nullopt;
  text = clean_path(text.substr(5));
  if (text.empty()) return std::nullopt;
  return std::string(text);
}

/// Length of the fence that a line opens or closes (``` or ~~~), or 0.
std::size_t fence_length(std::string_view line) {
  if (line.empty() || (line[0] != '`' && line[0] != '~')) return 0;
  const std::size_t length = std::min(line.find_first_not_of(line[0]), line.size());
  return length >= 3 ? length : 0;
}

std::string join(const Lines& lines, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end; ++i) {
    text += lines[i];
    text += '\n';
  }
  return text;
}

/// Collects prose, without what only served the edits: fences and names of files.
class Rationale {
 public:
  void add(std::string_view line, bool is_prose) {
    if (!is_prose || text_.size() > kRationaleBytesMax) return;
    text_ += line;
    text_ += '\n';
  }
  std::string finish() const {
    const std::string valid = to_valid_utf8(trim(text_));
    return std::string(truncate_utf8(valid, kRationaleBytesMax));
  }

 private:
  std::string text_;
};

std::string block_name(std::size_t index) { return "SEARCH block " + std::to_string(index + 1); }

/// Reads SEARCH/REPLACE blocks.
class BlockParser {
 public:
  BlockParser(const Lines& lines, const std::vector<std::string>& paths)
      : lines_(lines), paths_(paths) {}

  Judged<Answer> run() {
    Answer answer{.format = EditFormat::search_replace};
    Rationale rationale;
    std::string path;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (is_search(lines_[i])) {
        auto edit = read_block(i, answer.edits.size());
        if (!edit) return tl::unexpected(edit.error());
        edit->path = path;
        answer.edits.push_back(std::move(*edit));
        continue;
      }
      const auto named = named_path(lines_[i], paths_);
      if (named) path = *named;
      rationale.add(lines_[i], !named && fence_length(lines_[i]) == 0);
    }
    answer.rationale = rationale.finish();
    return answer;
  }

 private:
  /// The block whose first marker is at `i`; leaves `i` at its last one.
  Judged<Edit> read_block(std::size_t& i, std::size_t index) {
    const std::size_t begin = i + 1;
    std::optional<std::size_t> divider;
    for (++i; i < lines_.size(); ++i) {
      if (is_search(lines_[i])) break;
      if (is_divider(lines_[i])) {
        if (divider) {
          return reject(RejectionKind::malformed, block_name(index) + " has two ======= lines");
        }
        divider = i;
      } else if (is_replace(lines_[i])) {
        if (!divider) {
          return reject(RejectionKind::malformed, block_name(index) + " has no ======= line");
        }
        return Edit{.search = join(lines_, begin, *divider),
                    .replace = join(lines_, *divider + 1, i)};
      }
    }
    return reject(RejectionKind::malformed,
                  block_name(index) + " does not end with >>>>>>> REPLACE");
  }

  const Lines& lines_;
  const std::vector<std::string>& paths_;
};

/// Reads unified diffs. The counts of `@@` lines are not believed: models cannot count.
class DiffParser {
 public:
  DiffParser(const Lines& lines, const std::vector<std::string>& paths)
      : lines_(lines), paths_(paths) {}

  Judged<Answer> run() {
    Answer answer{.format = EditFormat::unified_diff};
    Rationale rationale;
    std::string path;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (fence_length(lines_[i]) > 0) is_fenced_ = !is_fenced_;
      if (is_header(i)) {
        path = diff_path(lines_[i + 1].substr(4));
        ++i;
      } else if (lines_[i].starts_with("@@")) {
        Edit edit = read_hunk(i);
        edit.path = path;
        answer.edits.push_back(std::move(edit));
      } else {
        const auto named = named_path(lines_[i], paths_);
        if (named) path = *named;
        rationale.add(lines_[i], !named && fence_length(lines_[i]) == 0 &&
                                     !lines_[i].starts_with("diff --git") &&
                                     !lines_[i].starts_with("index "));
      }
    }
    answer.rationale = rationale.finish();
    return answer;
  }

 private:
  bool is_header(std::size_t i) const {
    return lines_[i].starts_with("--- ") && i + 1 < lines_.size() &&
           lines_[i + 1].starts_with("+++ ");
  }

  std::string diff_path(std::string_view text) const {
    std::string_view path = clean_path(text.substr(0, text.find('\t')));
    const bool is_known = std::find(paths_.begin(), paths_.end(), path) != paths_.end();
    if (!is_known && (path.starts_with("a/") || path.starts_with("b/"))) path.remove_prefix(2);
    return std::string(path);
  }

  /// The hunk whose `@@` line is at `i`; leaves `i` at its last line.
  Edit read_hunk(std::size_t& i) {
    Edit edit{.line = old_line(lines_[i])};
    std::size_t blank_lines = 0;  // Empty ones: context, unless the hunk ends behind them.
    const auto flush = [&edit, &blank_lines] {
      edit.search.append(blank_lines, '\n');
      edit.replace.append(blank_lines, '\n');
      blank_lines = 0;
    };
    for (; i + 1 < lines_.size(); ++i) {
      const std::string_view line = lines_[i + 1];
      if (line.empty()) {
        ++blank_lines;
        continue;
      }
      if (is_end_of_hunk(i + 1)) break;
      flush();
      const char kind = line[0];
      const bool has_sign = kind == ' ' || kind == '+' || kind == '-';
      // Models forget the blank before a line of context.
      const std::string text = std::string(line.substr(has_sign ? 1 : 0)) + '\n';
      if (kind == '\\') continue;  // "\ No newline at end of file"
      if (kind != '+') edit.search += text;
      if (kind != '-') edit.replace += text;
    }
    return edit;
  }

  bool is_end_of_hunk(std::size_t i) const {
    const std::string_view line = lines_[i];
    if (is_header(i) || line.starts_with("@@") || line.starts_with("diff --git")) return true;
    if (fence_length(line) > 0) return true;
    const bool is_body = line.find_first_of(" +-\\") == 0;
    return !is_body && !is_fenced_;
  }

  static std::optional<std::size_t> old_line(std::string_view header) {
    const std::size_t minus = header.find('-');
    if (minus == std::string_view::npos) return std::nullopt;
    std::size_t line = 0;
    const char* begin = header.data() + minus + 1;
    const auto [end, error] = std::from_chars(begin, header.data() + header.size(), line);
    if (error != std::errc() || end == begin) return std::nullopt;
    return line;
  }

  const Lines& lines_;
  const std::vector<std::string>& paths_;
  bool is_fenced_ = false;
};

/// Reads fenced blocks that hold whole files.
class FileParser {
 public:
  FileParser(const Lines& lines, const std::vector<std::string>& paths)
      : lines_(lines), paths_(paths) {}

  Judged<Answer> run() {
    Rationale rationale;
    std::string path;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const std::size_t fence = fence_length(lines_[i]);
      if (fence > 0) {
        const std::size_t end = find_end(i, fence);
        if (end == lines_.size()) {
          return reject(RejectionKind::malformed, "the last fenced block does not end");
        }
        std::string content = join(lines_, i + 1, end);
        add(path.empty() ? info_path(lines_[i].substr(fence)) : path, std::move(content));
        path.clear();
        i = end;
        continue;
      }
      const auto named = named_path(lines_[i], paths_);
      if (named) path = *named;
      rationale.add(lines_[i], !named);
    }
    return finish(rationale.finish());
  }

 private:
  std::size_t find_end(std::size_t open, std::size_t fence) const {
    std::size_t i = open + 1;
    for (; i < lines_.size(); ++i) {
      const std::string_view line = trim_right(lines_[i]);
      const bool is_close = fence_length(line) >= fence && line[0] == lines_[open][0] &&
                            fence_length(line) == line.size();
      if (is_close) break;
    }
    return i;
  }

  /// Some write the path behind the language: ```cpp model.cpp, ```cpp:model.cpp.
  std::string info_path(std::string_view info) const {
    const std::size_t separator = info.find_first_of(" :");
    if (separator == std::string_view::npos) return {};
    const std::string_view path = clean_path(info.substr(separator + 1));
    const bool is_known = std::find(paths_.begin(), paths_.end(), path) != paths_.end();
    return is_known ? std::string(path) : std::string();
  }

  void add(std::string path, std::string content) {
    auto& list = path.empty() ? unnamed_ : named_;
    list.push_back({.path = std::move(path), .replace = std::move(content)});
  }

  /// Without a name, the last block with marks is meant, else the last one: models show parts of
  /// a program before the whole.
  Judged<Answer> finish(std::string rationale) {
    Answer answer{.format = EditFormat::whole_file, .rationale = std::move(rationale)};
    if (!named_.empty()) {
      answer.edits = std::move(named_);
      return answer;
    }
    if (unnamed_.empty()) return reject(RejectionKind::no_edit, "the answer contains no edit");
    if (paths_.size() > 1) {
      return reject(RejectionKind::malformed,
                    "no line \"File: PATH\" says which file the fenced block is");
    }
    const auto has_marks = [](const Edit& edit) {
      return edit.replace.find(source::kEvolveBlockStart) != std::string::npos;
    };
    const auto found = std::find_if(unnamed_.rbegin(), unnamed_.rend(), has_marks);
    answer.edits.push_back(found != unnamed_.rend() ? *found : unnamed_.back());
    return answer;
  }

  const Lines& lines_;
  const std::vector<std::string>& paths_;
  std::vector<Edit> named_;
  std::vector<Edit> unnamed_;
};

bool looks_like_diff(const Lines& lines) {
  bool has_hunk = false;
  bool has_header = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    has_hunk = has_hunk || lines[i].starts_with("@@");
    has_header =
        has_header || lines[i].starts_with("+++ ") || trim_right(lines[i]).ends_with("```diff");
  }
  return has_hunk && has_header;
}

}  // namespace

tl::unexpected<Rejection> reject(RejectionKind kind, std::string_view reason) {
  return tl::unexpected(Rejection{.kind = kind, .reason = to_one_line(reason, kRejectionBytesMax)});
}

Judged<Answer> parse_answer(std::string_view content, const std::vector<std::string>& paths) {
  const Lines lines = split_lines(content);
  const bool has_blocks = std::any_of(lines.begin(), lines.end(), is_search);
  auto answer = has_blocks               ? BlockParser(lines, paths).run()
                : looks_like_diff(lines) ? DiffParser(lines, paths).run()
                                         : FileParser(lines, paths).run();
  if (answer && answer->edits.size() > kEditsMax) {
    return reject(RejectionKind::malformed,
                  "more than " + std::to_string(kEditsMax) + " edits in one answer");
  }
  return answer;
}

}  // namespace cambrian::codegen
