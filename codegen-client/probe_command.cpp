#include "codegen-client/probe_command.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace cambrian::codegen {
namespace {

using Verdict = EndpointFinding::Verdict;

constexpr std::size_t kNamesShown = 8;

const char* word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok: return "ok";
    case Verdict::warning: return "warning";
    case Verdict::failure: return "failure";
  }
  return "failure";
}

std::string joined(const std::vector<std::string>& names, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > most) text += ", and " + std::to_string(names.size() - most) + " more";
  return text;
}

void judge_failure(const CallFailure& failure, bool has_key, EndpointFinding& finding) {
  finding.verdict = Verdict::failure;
  switch (failure.kind) {
    case FailureKind::unauthorized:
      finding.detail = (has_key ? "does not take the key: " : "wants a key: ") + failure.message;
      finding.fix = has_key ? "put a valid key for this server into key_file or key_environment"
                            : "name a file with the key under key_file";
      break;
    case FailureKind::no_quota:
      finding.detail = "the account is empty: " + failure.message;
      finding.fix = "pay, or take another endpoint";
      break;
    case FailureKind::connect:
    case FailureKind::timed_out:
    case FailureKind::cut:
      finding.detail = "does not answer: " + failure.message;
      finding.fix = "start the server; check base_url, proxy and certificates";
      break;
    case FailureKind::rate_limited:
    case FailureKind::server:
      finding.detail = "refuses for now: " + failure.message;
      finding.fix = "try again later: the server is busy, loading or broken";
      break;
    default:
      finding.detail = "refuses GET /models: " + failure.message;
      finding.fix = "check base_url: it ends with the version, as in http://HOST:8000/v1";
  }
}

nlohmann::json to_json(const EndpointFinding& finding) {
  return {{"name", finding.name},
          {"url", finding.url},
          {"verdict", word_of(finding.verdict)},
          {"detail", finding.detail},
          {"fix", finding.fix}};
}

int print(const std::vector<EndpointFinding>& findings, bool is_json) {
  const bool is_good = std::none_of(findings.begin(), findings.end(), [](const auto& finding) {
    return finding.verdict == Verdict::failure;
  });
  if (is_json) {
    nlohmann::json list = nlohmann::json::array();
    for (const EndpointFinding& finding : findings) list.push_back(to_json(finding));
    const nlohmann::json document{{"endpoints", list}};
    std::printf("%s\n",
                document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return is_good ? 0 : 1;
  }
  for (const EndpointFinding& finding : findings) {
    std::printf("%-8s %s: %s %s\n", word_of(finding.verdict), finding.name.c_str(),
                finding.url.c_str(), finding.detail.c_str());
    if (!finding.fix.empty()) std::printf("         fix: %s\n", finding.fix.c_str());
  }
  return is_good ? 0 : 1;
}

}  // namespace

EndpointFinding judge_probe(const EndpointSettings& settings, const std::string& url, bool has_key,
                            const openai::Probe& probe) {
  EndpointFinding finding{.name = settings.name, .url = url};
  if (probe.failure) {
    judge_failure(*probe.failure, has_key, finding);
    return finding;
  }
  if (!probe.models) {
    finding.verdict = Verdict::warning;
    finding.detail = "answers, but not with a list of models: the names cannot be checked";
    finding.fix = "check base_url: it ends with the version, as in http://HOST:8000/v1";
    return finding;
  }
  std::vector<std::string> missing;
  for (const std::string& name : settings.models) {
    if (!openai::lists(*probe.models, name)) missing.push_back(name);
  }
  if (!missing.empty()) {
    finding.verdict = Verdict::failure;
    finding.detail = "answers, but does not list " + joined(missing, kNamesShown) +
                     "; it lists: " + joined(*probe.models, kNamesShown);
    finding.fix = "name one of these under models";
    return finding;
  }
  finding.detail = "answers and lists " + joined(settings.models, kNamesShown);
  if (probe.context_tokens && *probe.context_tokens < settings.context_tokens) {
    finding.detail += "; prompts are cut to its context of " +
                      std::to_string(*probe.context_tokens) + " tokens, not " +
                      std::to_string(settings.context_tokens);
  }
  return finding;
}

int run_probe(std::vector<EndpointParts> parts, bool is_json) {
  std::vector<EndpointFinding> findings;
  for (EndpointParts& part : parts) {
    const bool has_key = !part.key.is_empty();
    openai::OpenAiModel model(std::move(part.model), std::move(part.key));
    findings.push_back(judge_probe(part.settings, model.url(), has_key, model.probe({})));
  }
  return print(findings, is_json);
}

int report_bad_configuration(const std::string& problem, bool is_json) {
  return print({{.name = "configuration",
                 .verdict = Verdict::failure,
                 .detail = problem,
                 .fix = "mend the file of --config, or the flags"}},
               is_json);
}

}  // namespace cambrian::codegen
