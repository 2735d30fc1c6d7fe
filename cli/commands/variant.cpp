#include <CLI/CLI.hpp>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/campaign_export.hpp"
#include "cli/commands/campaign_view.hpp"
#include "cli/commands/variant_diff.hpp"
#include "cli/output/diff.hpp"
#include "cli/output/document.hpp"
#include "cli/output/table.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli {
namespace {

using user::v1::Variant;
using user::v1::VariantService;

constexpr std::int64_t kNotGiven = -1;

struct VariantOptions {
  std::string campaign;
  std::string number;  ///< A number, `best` or `seed`.
  std::string other;
  std::string folder;
  std::string file;
  int limit = 100;
  bool is_best_first = false;
};

/// For the command line: what is wrong with the word, or nothing.
std::string check_variant(const std::string& text) {
  const bool is_number = !text.empty() && text.size() <= 18 &&
                         text.find_first_not_of("0123456789") == std::string::npos;
  return is_number || text == "best" || text == "seed"
             ? ""
             : "\"" + text + "\" is not a number, best or seed";
}

/// `best`, `seed` or a number.
Result<std::int64_t> resolve_number(Session& session, const std::string& campaign,
                                    const std::string& text) {
  if (text == "seed") return 0;
  if (text == "best") {
    user::v1::GetCampaignRequest request;
    request.set_name(campaign);
    CAMBRIAN_TRY(const auto response,
                 session.call(&user::v1::CampaignService::Stub::GetCampaign, request));
    if (response.campaign().has_best_variant()) return response.campaign().best_variant();
    return fail(Errc::not_found, "no variant of " + campaign + " has a score yet");
  }
  return std::stoll(text);  // check_variant has seen it.
}

int run_list(Session& session, const VariantOptions& options) {
  const auto order =
      options.is_best_first ? user::v1::VARIANT_ORDER_SCORE : user::v1::VARIANT_ORDER_NUMBER;
  const auto variants = list_variants(session, options.campaign, order, options.limit);
  if (!variants) {
    return session.fail(variants.error(),
                        "list campaigns with: " + program_call() + " campaign list");
  }
  if (session.format() == Format::name) {
    for (const Variant& one : *variants) session.print(std::to_string(one.number()) + "\n");
  } else if (!session.is_for_people()) {
    user::v1::ListVariantsResponse response;
    response.mutable_variants()->Assign(variants->begin(), variants->end());
    session.print_document(response);
  } else {
    user::v1::GetCampaignRequest request;
    request.set_name(options.campaign);
    const auto campaign = session.call(&user::v1::CampaignService::Stub::GetCampaign, request);
    session.print(
        variant_table(*variants, campaign ? campaign->campaign().objective_metric() : "", session));
  }
  return to_int(ExitCode::ok);
}

Result<Variant> find_variant(Session& session, const VariantOptions& options) {
  CAMBRIAN_TRY(const auto number, resolve_number(session, options.campaign, options.number));
  return get_variant(session, options.campaign, number);
}

int run_get(Session& session, const VariantOptions& options) {
  const auto variant = find_variant(session, options);
  if (!variant) return session.fail(variant.error());
  if (session.format() == Format::name) {
    session.print(std::to_string(variant->number()) + "\n");
  } else if (session.is_for_people()) {
    session.print(variant_details(*variant));
  } else {
    session.print_document(*variant);
  }
  return to_int(ExitCode::ok);
}

/// `variant source --to`.
int write_sources(Session& session, const VariantOptions& options, std::int64_t number,
                  const std::map<std::string, std::string>& files) {
  nlohmann::ordered_json paths = nlohmann::ordered_json::array();
  for (const auto& [path, content] : files) {
    const Status written = write_inside(options.folder, path, content);
    if (!written) return session.fail(written.error());
    paths.push_back(path);
  }
  session.note("wrote " + std::to_string(files.size()) + " files to " + options.folder);
  if (session.is_document()) {
    session.print_object({{"campaign", options.campaign},
                          {"variant", number},
                          {"folder", options.folder},
                          {"files", paths}});
  }
  return to_int(ExitCode::ok);
}

int run_source(Session& session, const VariantOptions& options) {
  const auto variant = find_variant(session, options);
  if (!variant) return session.fail(variant.error());
  auto files = download_sources(session, *variant);
  if (!files) return session.fail(files.error());
  if (!options.folder.empty()) return write_sources(session, options, variant->number(), *files);
  if (!options.file.empty()) {
    std::erase_if(*files, [&](const auto& file) { return file.first != options.file; });
  }
  if (files->empty()) {
    return session.fail(ExitCode::not_found, "the variant has no file " + options.file);
  }
  if (session.is_document()) {
    session.print_object(
        {{"campaign", options.campaign}, {"variant", variant->number()}, {"files", *files}});
    return to_int(ExitCode::ok);
  }
  if (session.format() == Format::name) {
    for (const auto& [path, content] : *files) session.print(path + "\n");
    return to_int(ExitCode::ok);
  }
  if (files->size() > 1) {
    std::string names;
    for (const auto& [path, content] : *files) names += " " + path;
    return session.fail(ExitCode::usage, "the variant has several files:" + names,
                        "choose one with --file, or write all with --to FOLDER");
  }
  const std::string& content = files->begin()->second;
  session.print(session.terminal().out.is_terminal ? printable_lines(content) : content);
  return to_int(ExitCode::ok);
}

int run_diff(Session& session, const VariantOptions& options) {
  const auto after = find_variant(session, options);
  if (!after) return session.fail(after.error());
  std::int64_t base = after->parents_size() > 0 ? after->parents(0) : kNotGiven;
  if (!options.other.empty()) {
    // `diff A B` shows what leads from A to B.
    const auto number = resolve_number(session, options.campaign, options.other);
    if (!number) return session.fail(number.error());
    base = *number;
  }
  if (base == kNotGiven) {
    return session.fail(ExitCode::usage, "the seed has no parent",
                        "name two variants: " + program_call() + " variant diff CAMPAIGN A B");
  }
  const bool has_two = !options.other.empty();
  const std::int64_t from = has_two ? after->number() : base;
  const std::int64_t to = has_two ? base : after->number();
  const auto diff = diff_variants(session, options.campaign, from, to);
  if (!diff) return session.fail(diff.error());
  if (session.is_document()) {
    session.print_object(
        {{"campaign", options.campaign}, {"before", from}, {"after", to}, {"diff", *diff}});
    return to_int(ExitCode::ok);
  }
  if (diff->empty()) session.note("no difference");
  session.print(session.terminal().out.has_color ? colored_diff(printable_lines(*diff)) : *diff);
  return to_int(ExitCode::ok);
}

int run_lineage(Session& session, const VariantOptions& options) {
  const auto number = resolve_number(session, options.campaign, options.number);
  if (!number) return session.fail(number.error());
  user::v1::GetLineageRequest request;
  request.set_campaign(options.campaign);
  request.set_number(*number);
  user::v1::GetLineageResponse lineage;
  do {
    const auto page = session.call(&VariantService::Stub::GetLineage, request);
    if (!page) return session.fail(page.error());
    lineage.mutable_variants()->MergeFrom(page->variants());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (!session.is_for_people() && session.format() != Format::name) {
    session.print_document(lineage);
    return to_int(ExitCode::ok);
  }
  if (session.format() == Format::name) {
    for (const Variant& one : lineage.variants()) {
      session.print(std::to_string(one.number()) + "\n");
    }
    return to_int(ExitCode::ok);
  }
  session.print(variant_table({lineage.variants().begin(), lineage.variants().end()}, "", session));
  return to_int(ExitCode::ok);
}

}  // namespace

Result<std::string> diff_variants(Session& session, const std::string& campaign,
                                  std::int64_t before, std::int64_t after) {
  CAMBRIAN_TRY(const auto a, get_variant(session, campaign, before));
  CAMBRIAN_TRY(const auto b, get_variant(session, campaign, after));
  CAMBRIAN_TRY(auto files_a, download_sources(session, a));
  CAMBRIAN_TRY(const auto files_b, download_sources(session, b));
  std::string diff;
  for (const auto& [path, content] : files_b) {
    diff += unified_diff(files_a[path], content,
                         {.before = path + " (variant " + std::to_string(before) + ")",
                          .after = path + " (variant " + std::to_string(after) + ")"});
  }
  return diff;
}

Result<std::int64_t> get_variant_parent(Session& session, const std::string& campaign,
                                        std::int64_t number) {
  CAMBRIAN_TRY(const auto variant, get_variant(session, campaign, number));
  return variant.parents_size() > 0 ? variant.parents(0) : kNotGiven;
}

void add_variant_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "variant", "the programs that a campaign made");
  parent->require_subcommand(1);
  const auto add = [&](const char* name, const char* description, const char* example,
                       int (*action)(Session&, const VariantOptions&), bool with_number) {
    auto options = std::make_shared<VariantOptions>();
    CLI::App* command = cli.add(parent, name, description, example);
    command->add_option("CAMPAIGN", options->campaign, "name of the campaign")->required();
    if (with_number) {
      command->add_option("VARIANT", options->number, "number, best or seed")
          ->required()
          ->check(check_variant);
    }
    cli.on(command, [options, action](Session& session) { return action(session, *options); });
    return std::pair(command, options);
  };
  auto [list, list_options] =
      add("list", "variants of a campaign", "cambrian variant list NAME --best", run_list, false);
  list->add_flag("--best", list_options->is_best_first, "best score first");
  list->add_option("--limit", list_options->limit, "variants at most")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  add("get", "one variant with its evaluations", "cambrian variant get NAME 17", run_get, true);
  auto [source, source_options] = add("source", "the source of a variant",
                                      "cambrian variant source NAME best", run_source, true);
  source->add_option("--to", source_options->folder, "write all files into this folder");
  source->add_option("--file", source_options->file, "which file");
  auto [diff, diff_options] = add("diff", "what changed since the parent, or between two variants",
                                  "cambrian variant diff NAME seed best", run_diff, true);
  diff->add_option("OTHER", diff_options->other, "second variant; default: the parent of the first")
      ->check(check_variant);
  add("lineage", "a variant and its ancestors", "cambrian variant lineage NAME best", run_lineage,
      true);
}

}  // namespace cambrian::cli
