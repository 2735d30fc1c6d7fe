#include "codegen-client/domain/edit_apply.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "codegen-client/domain/match.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/source/evolve_block.hpp"
#include "common/source/token_digest.hpp"

namespace cambrian::codegen {
namespace {

constexpr std::size_t kShownLineBytesMax = 120;

/// Lines that may change, as [begin, end).
struct LineRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// One way to carry an edit out: lines [begin, end) are replaced.
struct Change {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::vector<std::string> lines{};
};

bool has_mark(std::string_view text) {
  return text.find(source::kEvolveBlockStart) != std::string_view::npos ||
         text.find(source::kEvolveBlockEnd) != std::string_view::npos;
}

std::vector<LineRange> block_lines(const std::vector<source::EvolveBlock>& blocks,
                                   std::string_view text) {
  const auto line_of = [text](std::size_t offset) {
    return static_cast<std::size_t>(
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
  };
  std::vector<LineRange> ranges;
  for (const auto& block : blocks) {
    const bool ends_without_newline = block.end == text.size() && !text.ends_with('\n');
    const std::size_t extra = ends_without_newline && block.end > block.begin ? 1 : 0;
    ranges.push_back({.begin = line_of(block.begin), .end = line_of(block.end) + extra});
  }
  return ranges;
}

/// Carries one edit out in one file.
class LineEditor {
 public:
  LineEditor(std::string_view text, std::vector<LineRange> blocks, const Edit& edit,
             std::string name)
      : text_(text),
        file_(split_lines(text)),
        blocks_(std::move(blocks)),
        search_(split_lines(edit.search)),
        replace_(split_lines(edit.replace)),
        line_(edit.line),
        name_(std::move(name)) {}

  /// Indentation means something: only places whose lines are indented alike, one against another,
  /// are similar.
  void keep_indentation() { keeps_indentation_ = true; }

  Judged<std::string> run() {
    const Lines core = strip_blank_lines(search_);
    if (core.empty()) return insert_into_empty_block();
    if (const auto places = find_exact(file_, search_); !places.empty()) {
      return choose(places, search_, replace_);
    }
    const Lines replace = strip_blank_lines(replace_);
    if (const auto places = find_tolerant(file_, core); !places.empty()) {
      return choose(places, core, replace);
    }
    const Similar similar = find_similar(file_, core);
    const bool is_usable = similar.is_clear && (!keeps_indentation_ ||
                                                is_indented_alike(window_at(similar.place), core));
    if (!is_usable) return reject_no_match(similar);
    return choose({similar.place}, core, replace);
  }

 private:
  Lines window_at(const Place& place) const {
    const auto first = file_.begin() + static_cast<std::ptrdiff_t>(place.begin);
    return {first, first + static_cast<std::ptrdiff_t>(place.count)};
  }

  Judged<std::string> insert_into_empty_block() {
    std::vector<Change> changes;
    for (const LineRange& block : blocks_) {
      bool is_blank = true;
      for (std::size_t i = block.begin; i < block.end; ++i) {
        is_blank = is_blank && trim(file_[i]).empty();
      }
      if (!is_blank) continue;
      Change change{.begin = block.begin, .end = block.end};
      for (const std::string_view line : replace_) change.lines.emplace_back(line);
      changes.push_back(std::move(change));
    }
    if (changes.size() == 1) return carry_out(changes.front());
    return reject(RejectionKind::no_match,
                  name_ + " is empty: show the lines that are to be replaced");
  }

  /// Lines at both ends that search and replacement share stay as the file has them. So a search
  /// may show lines outside of a block, as long as it does not change them.
  Change make_change(const Place& place, const Lines& search, const Lines& replace) const {
    const std::size_t shared_max = std::min(search.size(), replace.size());
    std::size_t head = 0;
    while (head < shared_max && search[head] == replace[head]) ++head;
    std::size_t tail = 0;
    while (tail < shared_max - head &&
           search[search.size() - 1 - tail] == replace[replace.size() - 1 - tail]) {
      ++tail;
    }
    const Lines window = window_at(place);
    const Lines middle(replace.begin() + static_cast<std::ptrdiff_t>(head),
                       replace.end() - static_cast<std::ptrdiff_t>(tail));
    return {.begin = place.begin + head,
            .end = place.begin + place.count - tail,
            .lines = reindent(middle, common_indent(search), common_indent(window))};
  }

  bool is_inside_block(const Change& change) const {
    if (change.begin == change.end && change.lines.empty()) return true;  // Changes nothing.
    return std::any_of(blocks_.begin(), blocks_.end(), [&change](const LineRange& block) {
      return block.begin <= change.begin && change.end <= block.end;
    });
  }

  Judged<std::string> choose(const std::vector<Place>& places, const Lines& search,
                             const Lines& replace) {
    std::vector<Change> changes;
    for (const Place& place : places) {
      Change change = make_change(place, search, replace);
      if (is_inside_block(change)) changes.push_back(std::move(change));
    }
    if (changes.empty()) {
      return reject(RejectionKind::outside_block,
                    name_ + " changes line " + std::to_string(places.front().begin + 1) +
                        ", which is not between the EVOLVE-BLOCK marks");
    }
    if (changes.size() > 1 && !line_) {
      return reject(RejectionKind::ambiguous, name_ + " matches " + std::to_string(changes.size()) +
                                                  " places, at lines " +
                                                  std::to_string(changes[0].begin + 1) + " and " +
                                                  std::to_string(changes[1].begin + 1) +
                                                  ": show more lines around the one that is meant");
    }
    return carry_out(*std::min_element(
        changes.begin(), changes.end(),
        [this](const Change& a, const Change& b) { return distance(a) < distance(b); }));
  }

  std::size_t distance(const Change& change) const {
    const std::size_t at = change.begin + 1;
    const std::size_t line = line_.value_or(at);
    return at > line ? at - line : line - at;
  }

  /// Where a line begins in the text.
  std::size_t offset_of(std::size_t line) const {
    return line < file_.size() ? static_cast<std::size_t>(file_[line].data() - text_.data())
                               : text_.size();
  }

  Judged<std::string> carry_out(const Change& change) const {
    std::string text(text_.substr(0, offset_of(change.begin)));
    if (!change.lines.empty() && !text.empty() && !text.ends_with('\n')) text += '\n';
    for (const std::string& line : change.lines) {
      if (has_mark(line)) {
        return reject(RejectionKind::outside_block,
                      name_ + " changes an EVOLVE-BLOCK mark: the marks must stay as they are");
      }
      text.append(line).append(1, '\n');
    }
    return text.append(text_.substr(offset_of(change.end)));
  }

  Judged<std::string> reject_no_match(const Similar& similar) const {
    std::string reason = name_ + " matches nothing";
    if (similar.similarity > 0) {
      const std::size_t line = similar.place.begin;
      reason += ": nearest is line " + std::to_string(line + 1) + ": " +
                std::string(truncate_utf8(trim(file_[line]), kShownLineBytesMax));
    }
    return reject(RejectionKind::no_match, reason);
  }

  std::string_view text_;
  Lines file_;  ///< Views into text_.
  std::vector<LineRange> blocks_;
  Lines search_;
  Lines replace_;
  std::optional<std::size_t> line_;
  std::string name_;  ///< Of the edit, for the reason.
  bool keeps_indentation_ = false;
};

/// The pieces of a text outside of its blocks, and those inside.
struct Pieces {
  std::vector<std::string_view> outside;  ///< One more than inside.
  std::vector<std::string_view> inside;
};

Pieces cut(std::string_view text, const std::vector<source::EvolveBlock>& blocks) {
  Pieces pieces;
  std::size_t position = 0;
  for (const auto& block : blocks) {
    pieces.outside.push_back(text.substr(position, block.begin - position));
    pieces.inside.push_back(text.substr(block.begin, block.end - block.begin));
    position = block.end;
  }
  pieces.outside.push_back(text.substr(position));
  return pieces;
}

/// Equal but for white space at the ends of lines and of the text.
bool is_same_outside(std::string_view a, std::string_view b) {
  const Lines left = split_lines(trim_right(a));
  const Lines right = split_lines(trim_right(b));
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](auto x, auto y) { return trim_right(x) == trim_right(y); });
}

/// The parent with the insides of its blocks taken from `content`.
Judged<std::string> replace_whole(const std::string& path, std::string_view parent,
                                  const std::vector<source::EvolveBlock>& blocks,
                                  const std::string& content) {
  if (!has_mark(parent)) {
    // They would narrow what the next generation may change, or not be a pair.
    if (!has_mark(content)) return content;
    return reject(RejectionKind::outside_block,
                  path + ": the file has no EVOLVE-BLOCK marks and must not get any");
  }
  const auto own = source::find_evolve_blocks(content);
  if (!own || !has_mark(content) || own->size() != blocks.size()) {
    return reject(RejectionKind::outside_block,
                  path + ": the file must keep its EVOLVE-BLOCK marks as they are");
  }
  const Pieces before = cut(parent, blocks);
  const Pieces after = cut(content, *own);
  std::string text;
  for (std::size_t i = 0; i < before.outside.size(); ++i) {
    if (!is_same_outside(before.outside[i], after.outside[i])) {
      return reject(RejectionKind::outside_block,
                    path + ": lines outside of the EVOLVE-BLOCK marks were changed");
    }
    text += before.outside[i];
    if (i < after.inside.size()) text += after.inside[i];
  }
  return text;
}

Judged<std::string> resolve_path(const Edit& edit, const Files& parent) {
  if (edit.path.empty() && parent.size() == 1) return parent.begin()->first;
  if (edit.path.empty()) {
    return reject(RejectionKind::malformed,
                  "no line \"File: PATH\" says which file an edit is for");
  }
  if (parent.contains(edit.path)) return edit.path;
  std::string allowed;
  for (const auto& [path, content] : parent) allowed += (allowed.empty() ? "" : ", ") + path;
  return reject(RejectionKind::unknown_file,
                edit.path + " may not change; only " + allowed + " may");
}

/// Where the lines of a file have gone to by the hunks that were applied to it: the line numbers of
/// a unified diff are those of the parent.
class LineShifts {
 public:
  /// Of a line of the parent, from 1.
  std::size_t now(std::size_t line) const {
    auto moved = static_cast<std::ptrdiff_t>(line);
    for (const auto& [at, lines] : shifts_) moved += at < line ? lines : 0;
    return static_cast<std::size_t>(std::max<std::ptrdiff_t>(moved, 0));
  }
  void add(std::size_t line, std::string_view before, std::string_view after) {
    const auto lines_of = [](std::string_view text) {
      return std::count(text.begin(), text.end(), '\n');
    };
    shifts_.emplace_back(line, lines_of(after) - lines_of(before));
  }

 private:
  std::vector<std::pair<std::size_t, std::ptrdiff_t>> shifts_;
};

/// An edit with its name.
struct NamedEdit {
  Edit edit{};
  EditFormat format = EditFormat::none;
  std::string name{};  ///< For the reason of a rejection.
};

Judged<std::string> apply_edit(const NamedEdit& named, const std::string& path,
                               const std::string& text, Language language) {
  const Edit& edit = named.edit;
  const auto blocks = source::find_evolve_blocks(text);
  if (!blocks) return reject(RejectionKind::malformed, path + ": " + blocks.error().message);
  if (named.format == EditFormat::whole_file) {
    return replace_whole(path, text, *blocks, edit.replace);
  }
  LineEditor editor(text, block_lines(*blocks, text), edit, named.name);
  if (language == Language::python) editor.keep_indentation();
  return editor.run();
}

}  // namespace

Judged<Files> apply_answer(const Answer& answer, const Files& parent, const Task& task) {
  Files files = parent;
  std::map<std::string, LineShifts> shifts;
  const bool is_diff = answer.format == EditFormat::unified_diff;
  for (std::size_t i = 0; i < answer.edits.size(); ++i) {
    auto path = resolve_path(answer.edits[i], parent);
    if (!path) return tl::unexpected(path.error());
    std::string& text = files.at(*path);
    NamedEdit named{
        .edit = answer.edits[i],
        .format = answer.format,
        .name = *path + ": " + (is_diff ? "hunk " : "SEARCH block ") + std::to_string(i + 1)};
    if (named.edit.line) named.edit.line = shifts[*path].now(*named.edit.line);
    auto changed = apply_edit(named, *path, text, task.language);
    if (!changed) return tl::unexpected(changed.error());
    if (const auto line = answer.edits[i].line) shifts[*path].add(*line, text, *changed);
    if (static_cast<std::int64_t>(changed->size()) > task.source_bytes_max) {
      return reject(RejectionKind::too_large,
                    *path + " would have " + std::to_string(changed->size()) + " bytes; at most " +
                        std::to_string(task.source_bytes_max) + " are allowed");
    }
    text = std::move(*changed);
  }
  if (source::token_digest(files, task.language) == source::token_digest(parent, task.language)) {
    return reject(RejectionKind::unchanged,
                  "the edits change nothing but layout and comments, or nothing at all");
  }
  return files;
}

}  // namespace cambrian::codegen
