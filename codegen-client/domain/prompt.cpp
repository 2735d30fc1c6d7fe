#include "codegen-client/domain/prompt.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "codegen-client/domain/line_diff.hpp"
#include "codegen-client/domain/text.hpp"
#include "codegen-client/domain/tokens.hpp"

namespace cambrian::codegen {
namespace {

// Room for the section of the variation seed, and for the roles of the two messages.
constexpr std::int64_t kSeedTokens = 32;

constexpr int kMetricDigits = 6;
// Late gains are small.
constexpr int kGainDigits = 10;

constexpr std::string_view kSystemIntroduction =
    "You improve a program, one step of an evolutionary search. You are given a task, its "
    "objectives, a parent program with its measured metrics, and perhaps other good programs and "
    "failed attempts. ";

constexpr std::string_view kSystemImprove =
    "Propose one change that you expect to improve the first objective: an idea that is worth an "
    "experiment, in code that compiles and runs as it stands. Learn from the failures; do not "
    "repeat them.\n\n";

constexpr std::string_view kSystemRepair =
    "This parent program failed, and the first failure is its own, with its diagnostics. Find the "
    "cause, and propose the smallest change that removes it, in code that compiles and runs as it "
    "stands.\n\n";

constexpr std::string_view kSystemSimplify =
    "Propose one change that makes the parent program simpler, and leaves its first objective at "
    "least as good, in code that compiles and runs as it stands. Learn from the failures; do not "
    "repeat them.\n\n";

constexpr std::string_view kSystemMarks =
    "Only lines between a line with EVOLVE-BLOCK-START and the next line with EVOLVE-BLOCK-END may "
    "change; the lines of the marks themselves stay as they are. A file without marks may change "
    "as a whole. Keep every name and signature that code outside of the marks uses. ";

constexpr std::string_view kSystemReason =
    "Say in at most three sentences what you change and why, then give the change.\n\n";

constexpr std::string_view kSystemExplain =
    "First explain, in at most ten sentences: what the parent program does, what its metrics, the "
    "other programs and the failures say about what holds it back, and which one change follows "
    "from that. Then give the change.\n\n";

constexpr std::string_view kSystemBlocks =
    "Answer with one or more SEARCH/REPLACE blocks in exactly this form:\n\n"
    "File: PATH\n"
    "<<<<<<< SEARCH\n"
    "lines of the file as they stand in the parent program\n"
    "=======\n"
    "lines that take their place\n"
    ">>>>>>> REPLACE\n\n"
    "The SEARCH lines must be copied character by character, without \"...\" for lines left out, "
    "and must occur once only in the file: include enough lines around the change. Keep blocks "
    "small. Blocks are applied in order, all of them or none.\n";

constexpr std::string_view kSystemFiles =
    "Answer with the complete text of every file that you change, each in exactly this form:\n\n"
    "File: PATH\n"
    "```\n"
    "the complete file\n"
    "```\n\n"
    "Leave nothing out. Everything outside of the marks must stay as it is, character by "
    "character. Files that you do not name stay unchanged.\n";

std::string_view system_aim(Operator operation) {
  if (operation == Operator::repair) return kSystemRepair;
  return operation == Operator::simplify ? kSystemSimplify : kSystemImprove;
}

std::string system_text(Operator operation) {
  return std::string(kSystemIntroduction)
      .append(system_aim(operation))
      .append(kSystemMarks)
      .append(operation == Operator::explain ? kSystemExplain : kSystemReason)
      .append(operation == Operator::rewrite ? kSystemFiles : kSystemBlocks);
}

std::string_view order_of(Operator operation) {
  switch (operation) {
    case Operator::diff:
      return "Change the parent program. A small change whose effect can be seen is better than "
             "many at once.\n";
    case Operator::rewrite:
      return "Write the evolvable part of the parent program anew, by another idea if you have a "
             "better one.\n";
    case Operator::crossover:
      return "Change the parent program so that it combines the best ideas of both parents. The "
             "SEARCH lines are those of the parent program, not of the second parent.\n";
    case Operator::repair:
      return "Mend the parent program, which fails as Failure 1 says, and keep what it tries to "
             "do.\n";
    case Operator::simplify:
      return "Make the parent program simpler: leave out what does not help, join what is said "
             "twice, and use fewer constants. A part whose use you doubt may go: the measurement "
             "will tell.\n";
    case Operator::explain:
      return "Explain what holds the parent program back, then change that.\n";
  }
  return "";
}

std::string number_text(double value, int digits = kMetricDigits) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::general, digits);
  return error == std::errc() ? std::string(buffer.data(), end) : "?";
}

/// Prose of others: no line of it may pass for a heading, a file name or a fence of ours.
std::string quote_prose(std::string_view text) {
  std::string out;
  const std::string shortened = shorten_middle(trim(text), kProseBytesMax);
  for (const std::string_view line : split_lines(shortened)) {
    const bool looks_like_ours = line.starts_with("## ") || line.starts_with("File: ") ||
                                 line.starts_with("```") || line.starts_with("~~~");
    out += (looks_like_ours ? " " : "") + std::string(trim_right(line)) + '\n';
  }
  return to_valid_utf8(out);
}

std::string fenced(std::string_view text, std::string_view info) {
  std::size_t longest = 2;
  for (const std::string_view line : split_lines(text)) {
    longest = std::max(longest, std::min(line.find_first_not_of('`'), line.size()));
  }
  const std::string fence(longest + 1, '`');
  std::string out = fence + std::string(info) + '\n' + std::string(text);
  if (!text.empty() && !text.ends_with('\n')) out += '\n';
  return out + fence + '\n';
}

std::string program_text(const Program& program, Language language) {
  std::string text = "Variant " + std::to_string(program.variant);
  const char* separator = ": ";
  for (const auto& [metric, value] : program.metrics) {
    text += separator + metric + '=' + number_text(value);
    separator = " ";
  }
  text += '\n';
  for (const auto& [path, content] : program.files) {
    text += "File: " + path + '\n' + fenced(content, source::to_string(language));
  }
  return text;
}

/// What the failure changed against the parent, and what came of it.
std::string failure_text(const Program& failure, const Program& parent) {
  std::string text = "Variant " + std::to_string(failure.variant) + ": " +
                     (failure.outcome.empty() ? "failure" : failure.outcome) + '\n';
  if (!trim(failure.diagnostics).empty()) {
    text +=
        "Diagnostics:\n" +
        fenced(to_valid_utf8(shorten_middle(failure.diagnostics, kDiagnosticsBytesMax)), "text");
  }
  std::string change;
  for (const auto& [path, content] : failure.files) {
    const auto before = parent.files.find(path);
    const std::string diff =
        unified_diff(before == parent.files.end() ? "" : before->second, content);
    if (!diff.empty()) change += "--- a/" + path + "\n+++ b/" + path + '\n' + diff;
  }
  // Half a diff helps nobody, and a long one is no small step of the parent.
  if (!change.empty() && change.size() <= kChangeBytesMax) {
    text += "Change:\n" + fenced(change, "diff");
  }
  return text;
}

/// A section; empty where there is nothing to tell.
std::string gains_text(const PromptInput& input) {
  if (input.gains.empty() || input.task.objectives.empty()) return "";
  std::string text = "\n## What helped\n";
  for (const Gain& gain : input.gains) {
    text += "- Variant " + std::to_string(gain.variant) + ": " +
            input.task.objectives.front().metric + ' ' + number_text(gain.before, kGainDigits) +
            " -> " + number_text(gain.after, kGainDigits);
    const std::string change = to_one_line(gain.change, kGainBytesMax);
    text += change.empty() ? "\n" : ". " + change + '\n';
  }
  return text;
}

std::string task_text(const PromptInput& input) {
  std::string text = "## Task: " + input.task.name + '\n' + quote_prose(input.task.description);
  text += "\n## Objectives\n";
  bool is_first = true;
  for (const Objective& objective : input.task.objectives) {
    text += (objective.is_maximized ? "- maximize " : "- minimize ") + objective.metric +
            (is_first ? " (this one ranks)\n" : "\n");
    is_first = false;
  }
  if (!trim(input.instructions).empty()) {
    text += "\n## Instructions\n" + quote_prose(input.instructions);
  }
  return text;
}

std::string numbered(const char* name, std::size_t index, const std::string& body) {
  return std::string("\n## ") + name + ' ' + std::to_string(index + 1) + '\n' + body;
}

std::string parents_text(const PromptInput& input) {
  std::string text;
  const Language language = input.task.language;
  if (input.operation == Operator::crossover && input.parents.size() > 1) {
    text += "\n## Second parent\n" + program_text(input.parents[1], language);
  }
  text += "\n## Parent program\n" + program_text(input.parents[0], language);
  return text + "\n## Operator: " + std::string(to_string(input.operation)) + '\n' +
         (trim(input.order).empty() ? std::string(order_of(input.operation))
                                    : quote_prose(input.order));
}

/// How many of the texts, taken in order, fit into `tokens`; takes what they need from it.
std::size_t count_that_fit(const std::vector<std::string>& texts, std::int64_t& tokens) {
  std::size_t count = 0;
  for (; count < texts.size(); ++count) {
    const std::int64_t needed = estimate_tokens(texts[count]);
    if (needed > tokens) break;
    tokens -= needed;
  }
  return count;
}

std::string seed_section(std::int64_t variation_seed) {
  return "\n## Variation seed: " + std::to_string(variation_seed) + '\n';
}

}  // namespace

Result<Prompt> build_prompt(const PromptInput& input, std::int64_t tokens_max) {
  if (input.parents.empty()) return fail(Errc::invalid_argument, "a proposal without a parent");
  // Nobody mends a program without its diagnostics.
  const bool needs_failure = input.operation == Operator::repair;
  if (needs_failure && input.failures.empty()) {
    return fail(Errc::invalid_argument, "a repair without its failure");
  }
  Prompt prompt;
  prompt.system = system_text(input.operation);
  const std::string task = task_text(input);
  const std::string parents = parents_text(input);
  std::vector<std::string> failures;
  for (std::size_t i = 0; i < input.failures.size(); ++i) {
    failures.push_back(numbered("Failure", i, failure_text(input.failures[i], input.parents[0])));
  }
  const std::int64_t needed = estimate_tokens(prompt.system) + estimate_tokens(task) +
                              estimate_tokens(parents) + kSeedTokens;
  const std::int64_t needed_failure = needs_failure ? estimate_tokens(failures.front()) : 0;
  if (needed + needed_failure > tokens_max) {
    return fail(
        Errc::exhausted,
        std::string("task and parents") + (needs_failure ? " with their diagnostics" : "") +
            " do not fit into the prompt: tokens=" + std::to_string(needed + needed_failure) +
            " tokens_max=" + std::to_string(tokens_max));
  }
  std::vector<std::string> inspirations;
  for (std::size_t i = 0; i < input.inspirations.size(); ++i) {
    inspirations.push_back(
        numbered("Inspiration", i, program_text(input.inspirations[i], input.task.language)));
  }
  std::string gains = gains_text(input);
  std::int64_t left = tokens_max - needed;
  failures.resize(count_that_fit(failures, left));  // First: they are dropped last.
  inspirations.resize(count_that_fit(inspirations, left));
  if (count_that_fit({gains}, left) == 0) gains.clear();
  prompt.user = task + gains;
  for (const std::string& text : inspirations) prompt.user += text;
  for (const std::string& text : failures) prompt.user += text;
  prompt.user += parents;
  prompt.tokens = tokens_max - left;
  return prompt;
}

std::vector<Message> first_messages(const Prompt& prompt, std::int64_t variation_seed) {
  return {{.role = Role::system, .content = prompt.system},
          {.role = Role::user, .content = prompt.user + seed_section(variation_seed)}};
}

std::vector<Message> follow_up_messages(std::vector<Message> messages, std::string answer,
                                        std::string_view reason, std::int64_t variation_seed) {
  messages.push_back({.role = Role::assistant, .content = std::move(answer)});
  messages.push_back({.role = Role::user,
                      .content = "## Rejected\n- " + std::string(reason) +
                                 "\nNothing of your answer was applied. Answer once more, in the "
                                 "same form, against the unchanged parent program.\n" +
                                 seed_section(variation_seed)});
  return messages;
}

}  // namespace cambrian::codegen
