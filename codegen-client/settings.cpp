#include "codegen-client/settings.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <set>

#include "codegen-client/domain/retry.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/config/reader.hpp"

namespace cambrian::codegen {
namespace {

using config::v1::EndpointConfig;

constexpr std::size_t kKeyBytesMax = 8192;
constexpr std::size_t kLimitGroupBytesMax = 512;
constexpr int kRetriesDefault = 2;
constexpr std::int64_t kContextTokensMin = 1024;

/// Collects what is wrong with one endpoint.
class Problems {
 public:
  void add(std::string problem) { lines_.push_back(std::move(problem)); }
  void require(bool condition, const std::string& problem) {
    if (!condition) add(problem);
  }
  bool is_empty() const { return lines_.empty(); }
  std::string text() const {
    std::string joined;
    for (const std::string& line : lines_) joined += (joined.empty() ? "" : "\n") + line;
    return joined;
  }

 private:
  std::vector<std::string> lines_;
};

std::chrono::milliseconds to_milliseconds(const google::protobuf::Duration& duration) {
  return std::chrono::milliseconds(duration.seconds() * 1000 + duration.nanos() / 1'000'000);
}

/// A key goes into a header line: anything but visible ASCII would break out of it.
Result<Secret> make_key(std::string_view text, const std::string& where) {
  const std::string_view key = trim(text);
  if (key.empty()) return fail(Errc::invalid_argument, where + " is empty");
  const bool is_visible =
      std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!is_visible) {
    return fail(Errc::invalid_argument, where + " holds more than one word of visible ASCII");
  }
  return Secret(std::string(key));
}

Result<Secret> read_key(const EndpointConfig& config) {
  if (!config.key_file().empty() && !config.key_environment().empty()) {
    return fail(Errc::invalid_argument, "both key_file and key_environment are set");
  }
  if (!config.key_file().empty()) return read_key_file(config.key_file());
  if (config.key_environment().empty()) return Secret();
  const char* value = std::getenv(config.key_environment().c_str());
  if (value == nullptr) {
    return fail(Errc::not_found, "the environment has no variable " + config.key_environment() +
                                     ", which key_environment names");
  }
  return make_key(value, "the environment variable " + config.key_environment());
}

std::string without_slashes(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

EndpointSettings make_settings(const EndpointConfig& config, const std::string& name) {
  EndpointSettings settings{.name = name,
                            .retries = config.has_retries() ? config.retries() : kRetriesDefault,
                            .requests_per_minute = config.requests_per_minute(),
                            .tokens_per_minute = config.tokens_per_minute()};
  settings.limit_group = openai::loggable_url(without_slashes(config.base_url()));
  if (!config.account().empty()) settings.limit_group += " " + config.account();
  settings.parallel_shared = std::max(config.parallel(), 0);
  settings.models.assign(config.models().begin(), config.models().end());
  if (config.parallel() > 0) settings.parallel = config.parallel();
  settings.prices = {.prompt_usd_per_million = config.prompt_price_usd_per_million(),
                     .completion_usd_per_million = config.completion_price_usd_per_million()};
  if (config.has_cached_prompt_price_usd_per_million()) {
    settings.prices.cached_prompt_usd_per_million = config.cached_prompt_price_usd_per_million();
  }
  if (config.context_tokens() > 0) settings.context_tokens = config.context_tokens();
  return settings;
}

openai::ModelOptions make_model_options(const EndpointConfig& config) {
  openai::ModelOptions options{.base_url = without_slashes(config.base_url()),
                               .stream = config.stream(),
                               .extra_body = config.extra_body()};
  if (!config.token_limit_field().empty()) options.token_limit_field = config.token_limit_field();
  if (config.has_request_timeout())
    options.timeout_total = to_milliseconds(config.request_timeout());
  if (config.has_idle_timeout()) options.timeout_idle = to_milliseconds(config.idle_timeout());
  return options;
}

void check(const EndpointConfig& config, const EndpointParts& parts, const std::string& at,
           Problems& problems) {
  const std::string& url = config.base_url();
  problems.require(url.starts_with("http://") || url.starts_with("https://"),
                   at + "base_url must begin with http:// or https://");
  problems.require(parts.settings.limit_group.size() <= kLimitGroupBytesMax,
                   at + "base_url and account must have at most " +
                       std::to_string(kLimitGroupBytesMax) + " characters together");
  problems.require(url.find_first_of("?#") == std::string::npos,
                   at + "base_url must have no query: a key belongs in key_file");
  problems.require(!parts.settings.models.empty(), at + "models is empty: name at least one");
  problems.require(parts.settings.parallel <= Endpoint::kParallelMax && config.parallel() >= 0,
                   at + "parallel must be 1 to " + std::to_string(Endpoint::kParallelMax));
  problems.require(parts.settings.retries >= 0 && parts.settings.retries <= kRetriesMax,
                   at + "retries must be 0 to " + std::to_string(kRetriesMax));
  problems.require(parts.settings.context_tokens >= kContextTokensMin,
                   at + "context_tokens must be at least " + std::to_string(kContextTokensMin));
  problems.require(config.requests_per_minute() >= 0 && config.tokens_per_minute() >= 0 &&
                       config.prompt_price_usd_per_million() >= 0 &&
                       config.completion_price_usd_per_million() >= 0 &&
                       config.cached_prompt_price_usd_per_million() >= 0,
                   at + "rates and prices must not be negative");
  problems.require(parts.model.timeout_total.count() > 0 && parts.model.timeout_idle.count() > 0,
                   at + "request_timeout and idle_timeout must be positive");
  const std::string& field = parts.model.token_limit_field;
  problems.require(field == "max_tokens" || field == "max_completion_tokens",
                   at + "token_limit_field must be max_tokens or max_completion_tokens");
  if (const auto status = openai::check_extra_body(config.extra_body()); !status) {
    problems.add(at + status.error().message);
  }
}

}  // namespace

Result<Secret> read_key_file(const std::string& path) {
  CAMBRIAN_TRY(std::string text, config::read_text_file(path, kKeyBytesMax));
  const Secret wiped_behind_us(std::move(text));
  return make_key(wiped_behind_us.reveal(), "the key file " + path);
}

Result<std::vector<EndpointParts>> read_endpoints(const config::v1::CodegenConfig& config) {
  Problems problems;
  std::vector<EndpointParts> endpoints;
  std::set<std::string> names;
  for (int i = 0; i < config.endpoints_size(); ++i) {
    const EndpointConfig& endpoint = config.endpoints(i);
    const std::string at = "endpoints[" + std::to_string(i) + "]: ";
    const std::string name =
        endpoint.name().empty() ? "endpoint-" + std::to_string(i + 1) : endpoint.name();
    problems.require(names.insert(name).second, at + "the name is used twice: " + name);
    EndpointParts parts{.settings = make_settings(endpoint, name),
                        .model = make_model_options(endpoint)};
    check(endpoint, parts, at, problems);
    auto key = read_key(endpoint);
    if (key) {
      parts.key = std::move(*key);
    } else {
      problems.add(at + key.error().message);
    }
    endpoints.push_back(std::move(parts));
  }
  problems.require(!endpoints.empty(),
                   "endpoints is empty: name one in the file of --config, or give --base-url and "
                   "--model");
  if (!problems.is_empty()) return fail(Errc::invalid_argument, problems.text());
  return endpoints;
}

}  // namespace cambrian::codegen
