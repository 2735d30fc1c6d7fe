#pragma once

#include <grpcpp/server_context.h>

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <map>

#include "common/metrics/metrics.hpp"
#include "common/rpc/unary.hpp"
#include "coordinator/adapters/grpc/convert.hpp"
#include "coordinator/adapters/grpc/rate_limit.hpp"
#include "coordinator/ports/access_api.hpp"
#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator::wire {

/// A call as it came in, before anybody has looked at it.
struct Arrival {
  const char* method = "";
  Secret token;  ///< Empty: there was none.
  std::string peer;
  std::string object;  ///< What it is about, for the audit log.
};

/// A text of a caller as the audit log takes it: without secrets, cleaned and short.
std::string audit_text(std::string text);

/// Reads token and address. `method` is a literal.
Arrival arrival_of(const grpc::CallbackServerContext& context, const char* method,
                   std::string object = "");

/// Whether a call may go on.
struct Admission {
  grpc::Status refusal;          ///< OK: it may.
  Caller caller;                 ///< Whose it is then.
  std::int64_t audit_entry = 0;  ///< 0: it changes nothing.
};

/// Name of the campaign, task, agent or token that a request is about, or digest of an archive;
/// empty where it has none.
template <class Request>
std::string object_of(const Request& request);

/// Where every call of every service comes in: asks who calls and whether that role may
/// (access_table.hpp), runs the handler on the app's thread, writes changes into the audit log, and
/// counts and times all.
class Calls {
 public:
  /// `calls_per_second`: of each token of a person; agents are not limited.
  Calls(boost::asio::any_io_executor executor, metrics::Registry& registry, AccessApi& access,
        AuditStore& audit, int calls_per_second);

  const boost::asio::any_io_executor& executor() const { return executor_; }

  /// The reactor of a unary call. `make_handler(caller)` makes the coroutine once the caller is
  /// admitted; `request` lives until Finish. `method` is a literal.
  template <class Request, class MakeHandler>
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, const Request* request,
                                   const char* method, MakeHandler make_handler) {
    auto arrival = arrival_of(*context, method, object_of(*request));
    return rpc::answer(context, executor_,
                       counted(method, guarded(std::move(arrival), std::move(make_handler))));
  }

  /// Runs the handler of a stream on the app's thread; its status finishes the stream, whatever it
  /// throws. `Stream` is a reactor that lives until then.
  template <class Stream, class MakeHandler>
  void serve(Stream* stream, Arrival arrival, MakeHandler make_handler) {
    const auto* method = arrival.method;
    run(stream, method, guarded(std::move(arrival), std::move(make_handler)));
  }

  /// The same for a caller that was admitted before.
  template <class Stream>
  void run(Stream* stream, const char* method, awaitable<grpc::Status> handler) {
    boost::asio::co_spawn(executor_, counted(method, std::move(handler)),
                          [stream](const std::exception_ptr& failure, grpc::Status status) {
                            if (failure) status = rpc::status_of_failure(failure);
                            stream->Finish(std::move(status));
                          });
  }

  /// For streams from the caller: `then(admission)` hears, on the app's thread, whether it may.
  template <class Then>
  void ask(Arrival arrival, Then then) {
    boost::asio::co_spawn(executor_, admit(std::move(arrival)),
                          [then](const std::exception_ptr& failure, const Admission& admission) {
                            if (!failure) return then(admission);
                            Admission failed;
                            failed.refusal = rpc::status_of_failure(failure);
                            then(failed);
                          });
  }

  /// Why a caller that was admitted may not go on: its token has ended meanwhile. OK: it may.
  grpc::Status check_again(const Caller& caller, const char* method) const;

  /// The handler, observed.
  awaitable<grpc::Status> counted(const char* method, awaitable<grpc::Status> handler);

 private:
  awaitable<Admission> admit(Arrival arrival);
  /// OK: the caller has not called too often.
  grpc::Status check_rate(const Caller& caller, const std::string& method);
  /// Refused ones of one token fill neither disk nor log: what is too much is counted only.
  bool is_worth_an_entry(const Caller& caller);
  awaitable<void> note_outcome(std::int64_t audit_entry, grpc::StatusCode code);
  metrics::Counter refusals(const std::string& reason);

  template <class MakeHandler>
  awaitable<grpc::Status> guarded(Arrival arrival, MakeHandler make_handler) {
    const auto admission = co_await admit(std::move(arrival));
    if (!admission.refusal.ok()) co_return admission.refusal;
    grpc::Status status;
    std::exception_ptr failure;
    try {
      status = co_await make_handler(admission.caller);
    } catch (...) {
      failure = std::current_exception();  // Nothing can be awaited in here.
      status = rpc::status_of_failure(failure);
    }
    if (admission.audit_entry != 0) {
      co_await note_outcome(admission.audit_entry, status.error_code());
    }
    co_return status;
  }

  boost::asio::any_io_executor executor_;
  metrics::Registry& registry_;
  AccessApi& access_;
  AuditStore& audit_;
  struct Refused {
    std::chrono::steady_clock::time_point since;
    int count = 0;
  };
  std::map<std::string, Refused> refused_;  ///< By token id. On the app's thread.
  RateLimit limit_;                         ///< On the app's thread.
};

/// Overrides a unary method of a service by a coroutine: `handler` is a call of it with `request`
/// and `response`, which are gRPC's and live until Finish, and with `caller` where it matters who
/// calls. The service has `Calls& calls_`.
#define CAMBRIAN_UNARY(package, Method, handler)                                                \
  grpc::ServerUnaryReactor* Method(                                                             \
      grpc::CallbackServerContext* context, const package::Method##Request* request,            \
      [[maybe_unused]] package::Method##Response* response) override {                          \
    return calls_.answer(context, request, #Method,                                             \
                         [=, this]([[maybe_unused]] const Caller& caller) { return handler; }); \
  }

/// The status of an error of ours; with a delay after which to try again where that helps.
grpc::Status status_of(const Error& error);

/// INVALID_ARGUMENT with a field path for each problem.
grpc::Status status_of(const Problems& problems);

/// PERMISSION_DENIED: the campaign is somebody else's.
grpc::Status not_yours(const Caller& caller, const std::string& campaign, const std::string& owner);

/// PERMISSION_DENIED: the role may call this, but not so.
grpc::Status not_for_role(const Caller& caller, const std::string& what);

template <class Request>
std::string object_of(const Request& request) {
  if constexpr (requires { request.spec().name(); }) {
    return audit_text(request.spec().name());
  } else if constexpr (requires { request.bundle().manifest().name(); }) {
    return audit_text(request.bundle().manifest().name());
  } else if constexpr (requires { request.archive_sha256(); }) {
    // Its name is in the archive, unless it gets another one.
    const auto& name = request.name();
    return audit_text(name.empty() ? request.archive_sha256() : name);
  } else if constexpr (requires { request.worker(); }) {
    return audit_text(request.worker());
  } else if constexpr (requires { request.role(); }) {
    const auto role = role_from_proto(request.role());
    return audit_text(
        token_object(request.name(), role ? word(*role) : std::string("unknown"), request.id()));
  } else if constexpr (requires { request.token(); }) {
    return audit_text(request.token());
  } else if constexpr (requires { request.name(); }) {
    return audit_text(request.name());
  } else if constexpr (requires { request.reason(); }) {
    return audit_text(request.reason());
  } else {
    return {};
  }
}

}  // namespace cambrian::coordinator::wire
