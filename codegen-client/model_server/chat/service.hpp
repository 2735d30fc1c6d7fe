#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen-client/model_server/chat/fault.hpp"
#include "codegen-client/model_server/chat/request.hpp"

namespace cambrian::codemodel {

/// A request as it came in, with the largest body already enforced.
struct HttpRequest {
  std::string method;
  std::string path;  ///< Without the query.
  std::string body;
  std::int64_t now = 0;  ///< Seconds since 1970, for `created`.
};

/// What goes out. Pieces are written one after the other; a streamed reply has one for each event.
struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> pieces;
  bool is_streamed = false;  ///< Chunked, flushed after each piece.
  // Faults only.
  std::chrono::milliseconds delay_before{0};
  std::chrono::milliseconds delay_inside{0};  ///< In the middle of the pieces.
  bool is_cut = false;                        ///< Half of the body, then the connection closes.
};

/// The server behind its HTTP: routes, checks, answers. Not safe to share between threads.
class ChatService {
 public:
  struct Options {
    bool has_faults = false;  ///< Models named `fault-…` exist.
  };

  explicit ChatService(Options options) : options_(options) {}

  HttpReply handle(const HttpRequest& request);

 private:
  HttpReply complete(const HttpRequest& request);
  HttpReply list_models() const;
  HttpReply get_model(std::string_view id) const;

  Options options_;
  FaultCounter fault_counter_;
  std::uint64_t requests_ = 0;
};

/// A reply with an error body.
HttpReply error_reply(const ApiError& error);

/// Tokens of prompt and answer together; a longer prompt is refused.
inline constexpr std::size_t kContextTokens = 262'144;

}  // namespace cambrian::codemodel
