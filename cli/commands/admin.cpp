#include <fcntl.h>
#include <google/protobuf/util/time_util.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "cambrian/user/v1/admin_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/digest/token.hpp"

namespace cambrian::cli {
namespace {

using google::protobuf::util::TimeUtil;
using user::v1::AdminService;

constexpr int kDaysMax = 3'650;
constexpr int kEntriesMax = 100'000;
constexpr int kEntriesOfPage = 500;

struct CreateOptions {
  std::string name{};
  std::string role = "user";
  int days = 365;
  std::string file{};
};

std::string role_text(user::v1::Role role) {
  return short_enum(user::v1::Role_Name(role), "ROLE_");
}

user::v1::Role role_of(std::string word) {
  for (char& c : word) c = static_cast<char>(c - 'a' + 'A');  // One of our own lower case words.
  user::v1::Role role = user::v1::ROLE_UNSPECIFIED;
  user::v1::Role_Parse("ROLE_" + word, &role);
  return role;
}

/// A new file that nobody else can read. Fails where there is one already.
Status write_token(const std::string& path, const Secret& token) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    return fail(Errc::invalid_argument, "cannot make " + path + ": " + std::strerror(errno));
  }
  const std::string& text = token.reveal();
  const bool is_written =
      ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::write(file, "\n", 1) == 1 && ::fsync(file) == 0;
  ::close(file);
  if (is_written) return {};
  ::unlink(path.c_str());
  return fail(Errc::internal, "cannot write " + path);
}

/// The token is drawn here, and only its digest is sent: the server never sees it before it is
/// used, and a request that is sent twice makes one token.
int run_create(Session& session, const CreateOptions& options) {
  const auto token = make_token();
  if (!options.file.empty()) {
    const auto written = write_token(options.file, token.text);
    if (!written) return session.fail(ExitCode::failure, written.error().message);
  }
  user::v1::CreateTokenRequest request;
  request.set_id(token.id);
  request.set_sha256(token.sha256);
  request.set_name(options.name);
  request.set_role(role_of(options.role));
  if (options.days > 0) {
    *request.mutable_lifetime() = TimeUtil::HoursToDuration(std::int64_t{24} * options.days);
  }
  const auto response = session.call(&AdminService::Stub::CreateToken, request);
  if (!response) {
    if (!options.file.empty()) ::unlink(options.file.c_str());
    return session.fail(response.error());
  }
  if (session.is_document()) {
    nlohmann::ordered_json object = {{"id", token.id}, {"name", options.name}};
    if (options.file.empty()) object["token"] = token.text.reveal();
    session.print_object(object);
  } else if (options.file.empty()) {
    session.print(token.text.reveal() + "\n");
  } else {
    session.print(options.file + "\n");
  }
  if (options.file.empty()) {
    session.note("this is the only time that it is shown; keep it in a file of mode 0600");
  }
  return to_int(ExitCode::ok);
}

std::string state_text(const user::v1::Token& token) {
  if (token.has_revoke_time()) return "revoked";
  return token.is_expired() ? "expired" : "good";
}

std::string token_table(const google::protobuf::RepeatedPtrField<user::v1::Token>& tokens,
                        const Session& session) {
  Table table({{.title = "ID"},
               {.title = "NAME"},
               {.title = "ROLE"},
               {.title = "STATE"},
               {.title = "AGE", .is_right = true},
               {.title = "USED", .is_right = true},
               {.title = "EXPIRES"}});
  const auto now = std::chrono::system_clock::now();
  for (const auto& one : tokens) {
    table.add(
        {one.id(), one.name(), role_text(one.role()), state_text(one),
         format_age(one.create_time(), now),
         one.has_last_use_time() ? format_age(one.last_use_time(), now) : "-",
         one.has_expire_time() ? TimeUtil::ToString(one.expire_time()).substr(0, 10) : "never"});
  }
  return table.render(session.table_style());
}

/// What ListTokens and RevokeToken give.
template <class Response>
int show_tokens(Session& session, const Response& response) {
  if (session.format() == Format::name) {
    for (const auto& one : response.tokens()) session.print(one.id() + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(response);
  } else {
    session.print(token_table(response.tokens(), session));
  }
  return to_int(ExitCode::ok);
}

int run_list(Session& session, bool with_ended) {
  user::v1::ListTokensRequest request;
  request.set_with_ended(with_ended);
  const auto response = session.call(&AdminService::Stub::ListTokens, request);
  if (!response) return session.fail(response.error());
  return show_tokens(session, *response);
}

int run_revoke(Session& session, const std::string& token) {
  user::v1::RevokeTokenRequest request;
  request.set_token(token_id(token).value_or(token));  // The secret part need not travel.
  const auto response = session.call(&AdminService::Stub::RevokeToken, request);
  if (!response) {
    return session.fail(response.error(),
                        "list them with: " + program_call() + " admin token list");
  }
  return show_tokens(session, *response);
}

/// Pages until there are enough entries.
Result<user::v1::ListAuditEntriesResponse> read_entries(Session& session, int count) {
  user::v1::ListAuditEntriesResponse all;
  user::v1::ListAuditEntriesRequest request;
  do {
    request.set_page_size(std::min(count - all.entries_size(), kEntriesOfPage));
    CAMBRIAN_TRY(const auto page, session.call(&AdminService::Stub::ListAuditEntries, request));
    all.mutable_entries()->MergeFrom(page.entries());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && all.entries_size() < count);
  return all;
}

int run_audit(Session& session, int count) {
  const auto entries = read_entries(session, count);
  if (!entries) return session.fail(entries.error());
  if (!session.is_for_people()) {
    session.print_document(*entries);
    return to_int(ExitCode::ok);
  }
  Table table({{.title = "TIME"},
               {.title = "WHO"},
               {.title = "ROLE"},
               {.title = "TOKEN", .is_wide = true},
               {.title = "FROM"},
               {.title = "METHOD"},
               {.title = "OBJECT"},
               {.title = "OUTCOME"}});
  for (const auto& one : entries->entries()) {
    table.add({TimeUtil::ToString(one.create_time()).substr(0, 19),
               one.who().empty() ? "-" : one.who(), role_text(one.role()), one.token_id(),
               one.peer(), one.method(), one.object(), one.outcome()});
  }
  session.print(table.render(session.table_style()));
  return to_int(ExitCode::ok);
}

int run_disown(Session& session, const std::string& reason) {
  user::v1::DisownResultsRequest request;
  request.set_reason(reason);
  const auto response = session.call(&AdminService::Stub::DisownResults, request);
  if (!response) return session.fail(response.error());
  if (!session.is_for_people()) {
    session.print_document(*response);
  } else {
    session.print("disowned " + std::to_string(response->results()) +
                  " results: none of them is used again; campaigns keep what they have\n");
  }
  return to_int(ExitCode::ok);
}

void add_results_command(Cli& cli, CLI::App* admin) {
  const char* example = "cambrian admin results disown --reason 'gpu-3 computed wrong numbers'";
  CLI::App* parent = cli.add(admin, "results", "results that are found again by content", example);
  parent->require_subcommand(1);
  auto reason = std::make_shared<std::string>();
  CLI::App* disown =
      cli.add(parent, "disown", "use no result again that was made or begun until now", example);
  disown->add_option("--reason", *reason, "why, for the audit log")->required();
  cli.on(disown, [reason](Session& session) { return run_disown(session, *reason); });
}

void add_token_commands(Cli& cli, CLI::App* admin) {
  CLI::App* parent =
      cli.add(admin, "token", "who may call the coordinator", "cambrian admin token list");
  parent->require_subcommand(1);
  auto options = std::make_shared<CreateOptions>();
  CLI::App* create = cli.add(parent, "create", "make a token and show it once",
                             "cambrian admin token create alice --role user --file alice.token");
  create->add_option("NAME", options->name, "whose it is: a user, worker or service")->required();
  create
      ->add_option("--role", options->role, "admin, user, worker, codegen or viewer; default user")
      ->check(CLI::IsMember({"admin", "user", "worker", "codegen", "viewer"}));
  create->add_option("--days", options->days, "days until it expires, 0: never; default 365")
      ->check(CLI::Range(0, kDaysMax));
  create->add_option("--file", options->file, "write it into this new file instead of stdout");
  cli.on(create, [options](Session& session) { return run_create(session, *options); });
  auto with_ended = std::make_shared<bool>(false);
  CLI::App* list =
      cli.add(parent, "list", "tokens without their secrets", "cambrian admin token list");
  list->add_flag("--all", *with_ended, "expired and revoked ones too");
  cli.on(list, [with_ended](Session& session) { return run_list(session, *with_ended); });
  auto token = std::make_shared<std::string>();
  CLI::App* revoke = cli.add(parent, "revoke", "end a token, or all of a name, within seconds",
                             "cambrian admin token revoke alice");
  revoke->add_option("TOKEN", *token, "id or name")->required();
  cli.on(revoke, [token](Session& session) { return run_revoke(session, *token); });
}

}  // namespace

void add_admin_commands(Cli& cli) {
  CLI::App* admin =
      cli.add(&cli.app, "admin", "tokens, certificates, disowned results and the audit log");
  admin->require_subcommand(1);
  add_token_commands(cli, admin);
  add_admin_certs_command(cli, admin);
  add_results_command(cli, admin);
  auto count = std::make_shared<int>(50);
  CLI::App* audit =
      cli.add(admin, "audit", "who changed what, newest first", "cambrian admin audit --limit 200");
  audit->add_option("--limit", *count, "entries to show; default 50")
      ->check(CLI::Range(1, kEntriesMax));
  cli.on(audit, [count](Session& session) { return run_audit(session, *count); });
}

}  // namespace cambrian::cli
