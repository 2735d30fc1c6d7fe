#include "codegen-client/model_server/chat/answer.hpp"

#include <algorithm>
#include <vector>

#include "codegen-client/model_server/mutation/line_diff.hpp"
#include "common/source/evolve_block.hpp"

namespace cambrian::codemodel {
namespace {

using Lines = std::vector<std::string_view>;

std::string joined(const Lines& lines, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end; ++i) text += lines[i];
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text;
}

/// How often these lines stand in the text as whole lines.
std::size_t occurrences(const Lines& lines, std::size_t begin, std::size_t end) {
  std::size_t count = 0;
  const std::size_t length = end - begin;
  for (std::size_t at = 0; at + length <= lines.size(); ++at) {
    count += std::equal(lines.begin() + static_cast<std::ptrdiff_t>(begin),
                        lines.begin() + static_cast<std::ptrdiff_t>(end),
                        lines.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return count;
}

/// Lines [first, last) of the block around a line.
struct Bounds {
  std::size_t first = 0;
  std::size_t last = 0;
};

Bounds block_around(const std::string& text, const Lines& lines, const Hunk& hunk) {
  const auto blocks = source::find_evolve_blocks(text);
  if (!blocks) return {0, lines.size()};
  const auto offset = [&](std::size_t line) {
    return line < lines.size() ? static_cast<std::size_t>(lines[line].data() - text.data())
                               : text.size();
  };
  for (const auto& block : *blocks) {
    if (offset(hunk.before_begin) < block.begin || offset(hunk.before_end) > block.end) continue;
    Bounds bounds{hunk.before_begin, hunk.before_end};
    while (bounds.first > 0 && offset(bounds.first - 1) >= block.begin) --bounds.first;
    while (bounds.last < lines.size() && offset(bounds.last + 1) <= block.end) ++bounds.last;
    return bounds;
  }
  return {0, lines.size()};
}

/// A hunk with as much context as it takes to be the only place of its kind.
Hunk with_context(Hunk hunk, const Lines& before, const Bounds& bounds) {
  const auto is_blank = [&] {
    return std::all_of(before.begin() + static_cast<std::ptrdiff_t>(hunk.before_begin),
                       before.begin() + static_cast<std::ptrdiff_t>(hunk.before_end),
                       [](std::string_view line) {
                         return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
                       });
  };
  while (is_blank() || occurrences(before, hunk.before_begin, hunk.before_end) != 1) {
    const bool can_go_up = hunk.before_begin > bounds.first;
    const bool can_go_down = hunk.before_end < bounds.last;
    if (!can_go_up && !can_go_down) break;
    if (can_go_up) {
      --hunk.before_begin;
      --hunk.after_begin;
    }
    if (can_go_down) {
      ++hunk.before_end;
      ++hunk.after_end;
    }
  }
  return hunk;
}

void append_hunk(std::vector<Hunk>& merged, const Hunk& hunk) {
  if (!merged.empty() && hunk.before_begin <= merged.back().before_end) {
    merged.back().before_end = std::max(merged.back().before_end, hunk.before_end);
    merged.back().after_end = std::max(merged.back().after_end, hunk.after_end);
  } else {
    merged.push_back(hunk);
  }
}

/// A line without its end: the last one of a file may lack it.
std::string_view without_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  return line;
}

Lines part_of(const Lines& lines, std::size_t begin, std::size_t end) {
  Lines part;
  for (std::size_t i = begin; i < end; ++i) part.push_back(without_end(lines[i]));
  return part;
}

/// True when the lines of every SEARCH part stand exactly once among those that the blocks before
/// it leave.
bool applies_in_order(const Lines& before, const Lines& after, const std::vector<Hunk>& hunks) {
  Lines current = part_of(before, 0, before.size());
  for (const Hunk& hunk : hunks) {
    const Lines search = part_of(before, hunk.before_begin, hunk.before_end);
    const auto found = std::search(current.begin(), current.end(), search.begin(), search.end());
    if (found == current.end()) return false;
    const auto again = std::search(found + 1, current.end(), search.begin(), search.end());
    if (again != current.end()) return false;
    const Lines replace = part_of(after, hunk.after_begin, hunk.after_end);
    const auto at = current.erase(found, found + static_cast<std::ptrdiff_t>(search.size()));
    current.insert(at, replace.begin(), replace.end());
  }
  return true;
}

/// One hunk for everything that changes in a block. Between blocks are the marks, which no edit may
/// touch; but with several blocks the unchanged lines around them are shown, up to the next change:
/// then no two parts look alike.
std::vector<Hunk> hunks_of_blocks(const std::string& text, const Lines& before,
                                  const std::vector<Hunk>& changes) {
  std::vector<Hunk> merged;
  for (const Hunk& hunk : changes) {
    const bool is_same_block = !merged.empty() && block_around(text, before, merged.back()).first ==
                                                      block_around(text, before, hunk).first;
    if (is_same_block) {
      merged.back().before_end = hunk.before_end;
      merged.back().after_end = hunk.after_end;
    } else {
      merged.push_back(hunk);
    }
  }
  if (merged.size() == 1) {
    return {with_context(merged[0], before, block_around(text, before, merged[0]))};
  }
  std::vector<Hunk> shown = merged;
  for (std::size_t i = 0; i < merged.size(); ++i) {
    const std::size_t above = i == 0 ? 0 : merged[i - 1].before_end;
    const std::size_t below = i + 1 == merged.size() ? before.size() : merged[i + 1].before_begin;
    shown[i].after_begin -= merged[i].before_begin - above;
    shown[i].after_end += below - merged[i].before_end;
    shown[i].before_begin = above;
    shown[i].before_end = below;
  }
  return shown;
}

/// The hunks with their context, neighbours joined; larger ones where small ones could be mistaken
/// for each other.
std::vector<Hunk> sized_hunks(const std::string& text, const Lines& before, const Lines& after) {
  std::vector<Hunk> hunks;
  const std::vector<Hunk> changes = diff_lines(before, after);
  for (const Hunk& hunk : changes) {
    append_hunk(hunks, with_context(hunk, before, block_around(text, before, hunk)));
  }
  const bool is_clear = hunks.size() < 2 || applies_in_order(before, after, hunks);
  return is_clear ? hunks : hunks_of_blocks(text, before, changes);
}

std::string sentence(const Proposal& proposal) {
  std::string text = "I ";
  for (std::size_t i = 0; i < proposal.notes.size(); ++i) {
    if (i > 0) text += i + 1 == proposal.notes.size() ? ", and " : ", ";
    text += proposal.notes[i];
  }
  return text + ".\n";
}

std::string_view language_name(const Prompt& prompt, const std::string& path) {
  const auto found = prompt.request.parent.languages.find(path);
  return source::to_string(found == prompt.request.parent.languages.end() ? Language::other
                                                                          : found->second);
}

std::string fence_for(std::string_view content) {
  std::size_t longest = 2;
  for (const std::string_view line : split_lines(content)) {
    longest = std::max(longest, std::min(line.find_first_not_of('`'), line.size()));
  }
  return std::string(longest + 1, '`');
}

}  // namespace

std::string render_blocks(const std::string& before_text, const std::string& after_text) {
  const Lines before = split_lines(before_text);
  const Lines after = split_lines(after_text);
  std::vector<Hunk> hunks = sized_hunks(before_text, before, after);
  std::string rendered;
  for (const Hunk& hunk : hunks) {
    rendered += "<<<<<<< SEARCH\n" + joined(before, hunk.before_begin, hunk.before_end) +
                "=======\n" + joined(after, hunk.after_begin, hunk.after_end) + ">>>>>>> REPLACE\n";
  }
  return rendered;
}

std::string answer_prompt(const Prompt& prompt) {
  if (prompt.request.parent.files.empty()) {
    return "I change programs. Send me one in a fenced block, for example under the headings of "
           "docs/prompt-format.md, and I answer with an edit of it.\n";
  }
  const auto proposal = propose(prompt.request);
  if (!proposal) {
    return "I found nothing to change: " + proposal.error().message + ".\n";
  }
  std::string text = sentence(*proposal);
  for (const auto& [path, content] : proposal->files) {
    text += "\nFile: " + path + "\n";
    if (prompt.wants_files) {
      const std::string fence = fence_for(content);
      text += fence;
      text += language_name(prompt, path);
      text += '\n' + content + (content.ends_with('\n') ? "" : "\n") + fence + '\n';
    } else {
      text += render_blocks(prompt.request.parent.files.at(path), content);
    }
  }
  return text;
}

}  // namespace cambrian::codemodel
