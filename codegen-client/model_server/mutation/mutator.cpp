#include "codegen-client/model_server/mutation/mutator.hpp"

#include <algorithm>
#include <set>

#include "codegen-client/model_server/mutation/line_diff.hpp"
#include "codegen-client/model_server/mutation/scope.hpp"
#include "common/source/token_digest.hpp"

namespace cambrian::codemodel {
namespace {

/// Proposals drawn before giving up: each is cheap, and most of the time the first one is new.
constexpr int kProposalTriesMax = 24;
/// The same for a task that few operators serve.
constexpr int kSimplifyTriesMax = 400;
/// Operators drawn for one step of a proposal.
constexpr int kOperatorTriesMax = 60;
/// Arithmetic matters less in a program that trains a network.
constexpr double kExpressionShareBesideNetworks = 0.1;
constexpr std::size_t kFileBytesMax = 64 * 1024;

std::string trimmed(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(line.substr(first, line.find_last_not_of(" \t\r\n") - first + 1));
}

std::size_t unmatched_brackets(const Code& code) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < code.size(); ++i) {
    static constexpr std::string_view kBrackets = "()[]{}";
    const bool is_bracket = code.at(i).size() == 1 && kBrackets.find(code.at(i)[0]) != kNone;
    if (is_bracket && code.token(i).kind == TokenKind::punctuation &&
        code.token(i).partner == kNone) {
      ++count;
    }
  }
  return count;
}

bool is_neural(const Code& code) { return code.contains("torch"); }

class Mutator {
 public:
  Mutator(const MutationRequest& request, std::string path, Code parent)
      : request_(request), path_(std::move(path)), parent_(std::move(parent)) {
    const auto parent_tokens = source::token_digest(parent_.text(), parent_.language());
    parent_tokens_ = parent_tokens.count;
    digests_.insert(parent_tokens.digest);
    for (const Program& donor : request.donors) {
      const auto file = donor.files.find(path_);
      if (file == donor.files.end()) continue;
      digests_.insert(digest(file->second));
      if (auto code = Code::parse(file->second, parent_.language())) {
        donors_.push_back(std::move(*code));
      }
    }
    const auto slow =
        std::count_if(request.failures.begin(), request.failures.end(), [](const Failure& failure) {
          return failure.outcome == "timeout" || failure.outcome == "out_of_memory";
        });
    may_grow_ = slow == 0 || 2 * slow < static_cast<std::ptrdiff_t>(request.failures.size());
  }

  Result<Proposal> run() {
    const int tries = request_.task == Task::simplify ? kSimplifyTriesMax : kProposalTriesMax;
    for (int i = 0; i < tries; ++i) {
      Rng rng = Rng(request_.seed).split(path_).split(static_cast<std::uint64_t>(i));
      Proposal proposal;
      std::string text = draw(proposal, rng);
      if (proposal.operators.empty() || !is_new(text)) continue;
      proposal.files.emplace(path_, std::move(text));
      return proposal;
    }
    return fail(Errc::not_found, "no operator applies: file=" + path_);
  }

 private:
  std::string digest(const std::string& text) const {
    return source::token_digest(text, parent_.language()).digest;
  }

  int draw_steps(Rng& rng) const {
    static constexpr double kFewer[] = {0.5, 0.3, 0.2};
    const int drawn = 1 + static_cast<int>(rng.weighted(kFewer));
    switch (request_.task) {
      case Task::diff:
      case Task::simplify: return drawn + request_.boldness;
      case Task::rewrite: return drawn + 1 + static_cast<int>(rng.below(2)) + request_.boldness;
      case Task::crossover: return 1 + (drawn > 1 ? 1 : 0) + request_.boldness;
    }
    return drawn;
  }

  std::string draw(Proposal& proposal, Rng& rng) const {
    Code code = parent_;
    const int steps = draw_steps(rng);
    for (int i = 0; i < steps; ++i) {
      const bool wants_crossover = request_.task == Task::crossover && i == 0;
      auto next = step(code, wants_crossover, proposal, rng);
      if (!next && wants_crossover) next = step(code, false, proposal, rng);
      if (next) code = std::move(*next);
    }
    return code.text();
  }

  double weight_of(const Operator& candidate, const Code& code, bool wants_crossover) const {
    const bool is_spoken = code.is_python() ? candidate.for_python : candidate.for_cpp;
    if (!is_spoken || (candidate.grows && !may_grow_)) return 0;
    if (!candidate.needs.empty() && !code.contains(candidate.needs)) return 0;
    const bool is_crossover =
        candidate.family == Family::crossover || candidate.family == Family::graft;
    if (is_crossover && donors_.empty()) return 0;
    // Inspirations are there to be learnt from now and then, whatever the operator.
    if (wants_crossover && !is_crossover) return 0;
    double weight = candidate.weight * (is_crossover && !wants_crossover ? 0.15 : 1);
    const bool is_arithmetic =
        candidate.family == Family::expression || candidate.family == Family::graft;
    if (is_arithmetic && is_neural(code)) weight *= kExpressionShareBesideNetworks;
    return weight;
  }

  std::optional<Code> step(const Code& code, bool wants_crossover, Proposal& proposal,
                           Rng& rng) const {
    std::vector<double> weights;
    for (const Operator& candidate : operator_table()) {
      weights.push_back(weight_of(candidate, code, wants_crossover));
    }
    for (int i = 0; i < kOperatorTriesMax; ++i) {
      if (std::all_of(weights.begin(), weights.end(), [](double w) { return w <= 0; })) break;
      const std::size_t drawn = rng.weighted(weights);
      const Operator& chosen = operator_table()[drawn];
      const bool is_repeated = std::find(proposal.operators.begin(), proposal.operators.end(),
                                         chosen.name) != proposal.operators.end();
      auto mutation = is_repeated && !code.is_python() && rng.chance(0.5)
                          ? std::nullopt
                          : chosen.apply({.code = code, .donors = donors_, .rng = rng});
      if (!mutation) {
        weights[drawn] *= 0.5;  // Not here, or not this time.
        continue;
      }
      auto changed = carry_out(code, *mutation);
      // Layers of two programs rarely fit together as they are.
      if (chosen.family == Family::crossover) changed = mended(std::move(changed));
      if (!changed) continue;
      proposal.operators.push_back(chosen.name);
      proposal.notes.push_back(std::move(mutation->note));
      return changed;
    }
    return std::nullopt;
  }

  /// Sizes first: only a list of layers that fits can tell which block it lacks.
  std::optional<Code> mended(std::optional<Code> code) const {
    for (int pass = 0; pass < 2 && code; ++pass) {
      const auto edits = mend_network(*code);
      if (edits.empty()) break;
      code = carry_out(*code, {.edits = edits, .note = {}});
    }
    return code;
  }

  std::optional<Code> carry_out(const Code& code, const Mutation& mutation) const {
    auto text = code.apply(mutation.edits);
    if (!text || text->size() > kFileBytesMax || digest(*text) == digest(code.text())) {
      return std::nullopt;
    }
    auto changed = Code::parse(std::move(*text), code.language());
    if (!changed || unmatched_brackets(*changed) > unmatched_brackets(code)) return std::nullopt;
    if (!code.is_python() && loses_declaration(code, *changed)) return std::nullopt;
    return std::move(*changed);
  }

  /// A name is used whose declaration was left behind, in the parent or in a donor.
  bool loses_declaration(const Code& before, const Code& after) const {
    auto known = declared_names(before);
    for (const Code& donor : donors_) known.merge(declared_names(donor));
    const auto declared = declared_names(after);
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (!after.is_identifier(i) || after.is(i - 1, ".") || after.is(i - 1, "->")) continue;
      if (known.contains(after.at(i)) && !declared.contains(after.at(i))) return true;
    }
    return false;
  }

  bool is_new(const std::string& text) const {
    const auto tokens = source::token_digest(text, parent_.language());
    if (digests_.contains(tokens.digest)) return false;
    if (request_.task == Task::simplify && tokens.count >= parent_tokens_) return false;
    const auto before = split_lines(parent_.text());
    const auto after = split_lines(text);
    std::vector<std::string> removed;
    std::vector<std::string> added;
    for (const Hunk& hunk : diff_lines(before, after)) {
      for (std::size_t i = hunk.before_begin; i < hunk.before_end; ++i) {
        removed.push_back(trimmed(before[i]));
      }
      for (std::size_t i = hunk.after_begin; i < hunk.after_end; ++i) {
        added.push_back(trimmed(after[i]));
      }
    }
    return std::none_of(request_.failures.begin(), request_.failures.end(),
                        [&](const Failure& failure) {
                          return failure.added == added && failure.removed == removed;
                        });
  }

  const MutationRequest& request_;
  std::string path_;
  Code parent_;
  std::vector<Code> donors_;
  std::set<std::string> digests_;
  std::int64_t parent_tokens_ = 0;
  bool may_grow_ = true;
};

}  // namespace

Result<Proposal> propose(const MutationRequest& request) {
  std::vector<std::string> paths;
  std::vector<double> weights;
  for (const auto& [path, text] : request.parent.files) {
    const auto language = request.parent.languages.find(path);
    if (language == request.parent.languages.end() || text.empty()) continue;
    if (language->second == Language::other || text.size() > kFileBytesMax) continue;
    paths.push_back(path);
    weights.push_back(static_cast<double>(text.size()));
  }
  Error last{Errc::invalid_argument, "no C++ or Python program of at most 64 KiB in the prompt"};
  Rng rng = Rng(request.seed).split("file");
  while (!paths.empty()) {
    const std::size_t drawn = rng.weighted(weights);
    const std::string path = paths[drawn];
    paths.erase(paths.begin() + static_cast<std::ptrdiff_t>(drawn));
    weights.erase(weights.begin() + static_cast<std::ptrdiff_t>(drawn));
    auto code = Code::parse(request.parent.files.at(path), request.parent.languages.at(path));
    if (!code) {
      last = code.error();
      continue;
    }
    auto proposal = Mutator(request, path, std::move(*code)).run();
    if (proposal) return proposal;
    last = proposal.error();
  }
  return fail(std::move(last));
}

}  // namespace cambrian::codemodel
