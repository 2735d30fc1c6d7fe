#include "codegen-client/adapters/openai/http_client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

#include "codegen-client/domain/text.hpp"

namespace cambrian::codegen::openai {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kHeadersMax = 100;
constexpr std::size_t kFailureBytesMax = 512;

struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

void add_header(HeaderList& list, const std::string& line) {
  // On failure libcurl returns null and leaves the list as it was.
  if (curl_slist* extended = curl_slist_append(list.get(), line.c_str())) {
    (void)list.release();
    list.reset(extended);
  }
}

void initialize_curl() {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)once;
}

bool is_loopback(std::string_view url) {
  const std::size_t scheme = url.find("://");
  std::string_view host = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
  host = host.substr(0, host.find('/'));
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

FailureKind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return FailureKind::connect;
    case CURLE_OPERATION_TIMEDOUT: return FailureKind::timed_out;
    default: return FailureKind::cut;
  }
}

const char* advice(FailureKind kind) {
  return kind == FailureKind::connect
             ? "; is the server running, and are base_url, proxy and certificates right?"
             : "";
}

}  // namespace

struct HttpClient::Handle {
  CURL* curl = curl_easy_init();
  char error[CURL_ERROR_SIZE] = {};

  Handle() = default;
  ~Handle() { curl_easy_cleanup(curl); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

/// One request on its way; libcurl calls back on the thread that waits.
struct HttpClient::Transfer {
  const HttpRequest& request;
  const OnBody& on_body;
  std::stop_token stop;
  HttpReply reply{};
  CURL* curl = nullptr;
  std::size_t body_bytes = 0;
  SteadyClock::time_point last_byte = SteadyClock::now();
  SteadyClock::time_point enough_since{};
  bool is_enough = false;
  bool is_too_large = false;
  bool is_idle = false;

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string_view line(data, size * count);
    transfer.last_byte = SteadyClock::now();
    if (line.starts_with("HTTP/")) transfer.reply.headers.clear();  // Behind 100 Continue.
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && transfer.reply.headers.size() < kHeadersMax) {
      transfer.reply.headers[to_lower(line.substr(0, colon))] = trim(line.substr(colon + 1));
    }
    return line.size();
  }

  static std::size_t on_bytes(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string_view bytes(data, size * count);
    transfer.last_byte = SteadyClock::now();
    long status = 0;
    curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
    transfer.reply.status = static_cast<int>(status);
    transfer.body_bytes += bytes.size();
    transfer.is_too_large = transfer.body_bytes > transfer.request.reply_bytes_max;
    if (transfer.is_too_large) return CURL_WRITEFUNC_ERROR;
    if (transfer.is_enough) return transfer.is_rest_over() ? CURL_WRITEFUNC_ERROR : bytes.size();
    transfer.is_enough = !transfer.on_body(transfer.reply, bytes);
    if (transfer.is_enough) transfer.enough_since = SteadyClock::now();
    return bytes.size();
  }

  /// An error in place of bytes would close the connection.
  bool is_rest_over() const {
    return is_enough && SteadyClock::now() - enough_since > kRestTimeout;
  }

  /// About once a second while nothing happens.
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.stop.stop_requested() || transfer.is_rest_over()) return 1;
    const auto& limit = transfer.request.timeout_idle;
    transfer.is_idle = limit && SteadyClock::now() - transfer.last_byte > *limit;
    return transfer.is_idle ? 1 : 0;
  }

  void set_options(const HeaderList& headers, char* error) {
    const auto set = [this](CURLoption option, auto value) {
      curl_easy_setopt(curl, option, value);
    };
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    if (is_loopback(request.url)) set(CURLOPT_PROXY, "");
    set(CURLOPT_USERAGENT, "cambrian-codegen");
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::chrono::milliseconds(kConnectTimeout).count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_total.count()));
    if (!request.body.empty()) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.c_str());
    }
    set(CURLOPT_ERRORBUFFER, error);
    set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_bytes);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(this));
  }

  std::optional<CallFailure> failure_of(CURLcode code, std::string_view detail) const {
    if (code == CURLE_OK || is_enough) return std::nullopt;
    const std::string where = ": url=" + loggable_url(request.url);
    if (is_too_large) {
      return CallFailure{.kind = FailureKind::too_large,
                         .message = "the reply is longer than " +
                                    std::to_string(request.reply_bytes_max) + " bytes" + where};
    }
    if (stop.stop_requested()) {
      return CallFailure{.kind = FailureKind::cancelled, .message = "stopped" + where};
    }
    if (is_idle && reply.was_sent) {
      return CallFailure{.kind = FailureKind::timed_out,
                         .message = "the server sent nothing for too long" + where};
    }
    // A name that is not resolved and a handshake that hangs end as time-outs too.
    const FailureKind kind = reply.was_sent ? kind_of(code) : FailureKind::connect;
    const std::string reason = detail.empty() ? curl_easy_strerror(code) : std::string(detail);
    return CallFailure{.kind = kind,
                       .message = to_one_line(reason + where + advice(kind), kFailureBytesMax)};
  }
};

HttpClient::HttpClient(Secret key) : key_(std::move(key)) { initialize_curl(); }
HttpClient::~HttpClient() = default;

std::unique_ptr<HttpClient::Handle> HttpClient::take_handle() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Handle>();
  auto handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

void HttpClient::keep_handle(std::unique_ptr<Handle> handle) {
  curl_easy_reset(handle->curl);  // Forgets the options, the key among them; keeps connections.
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kHandlesKept) idle_.push_back(std::move(handle));
}

HttpReply HttpClient::perform(const HttpRequest& request, const OnBody& on_body,
                              std::stop_token stop) {
  auto handle = take_handle();
  if (handle->curl == nullptr) {
    return {.was_sent = false,
            .failure = CallFailure{.kind = FailureKind::connect,
                                   .message = "libcurl has no memory for a handle"}};
  }
  HeaderList headers;
  add_header(headers,
             request.wants_events ? "Accept: text/event-stream" : "Accept: application/json");
  if (!request.body.empty()) add_header(headers, "Content-Type: application/json");
  add_header(headers, "Expect:");  // Else libcurl waits up to a second before a large body.
  if (!key_.is_empty()) add_header(headers, "Authorization: Bearer " + key_.reveal());
  Transfer transfer{.request = request, .on_body = on_body, .stop = std::move(stop)};
  transfer.curl = handle->curl;
  handle->error[0] = '\0';
  transfer.set_options(headers, handle->error);
  const CURLcode code = curl_easy_perform(handle->curl);
  long status = 0;
  curl_easy_getinfo(handle->curl, CURLINFO_RESPONSE_CODE, &status);
  transfer.reply.status = static_cast<int>(status);
  curl_off_t ready_us = 0;  // When the connection was there, proxy and TLS included; 0: never.
  curl_easy_getinfo(handle->curl, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
  transfer.reply.was_sent = ready_us > 0;
  transfer.reply.failure = transfer.failure_of(code, handle->error);
  keep_handle(std::move(handle));
  return std::move(transfer.reply);
}

std::string loggable_url(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  const std::size_t path = std::min(url.find('/', scheme + 3), url.size());
  const std::size_t at = url.substr(0, path).rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, scheme + 3)) + std::string(url.substr(at + 1));
}

}  // namespace cambrian::codegen::openai
