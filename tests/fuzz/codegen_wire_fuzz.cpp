#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/adapters/openai/reply.hpp"
#include "codegen-client/domain/sse.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/base/assert.hpp"

using namespace cambrian::codegen;

namespace {

std::vector<std::string> events_of(std::string_view stream, std::size_t piece) {
  SseParser parser;
  std::vector<std::string> events;
  for (std::size_t i = 0; i < stream.size(); i += piece) {
    const auto more = parser.feed(stream.substr(i, piece));
    if (!more) return {};
    events.insert(events.end(), more->begin(), more->end());
  }
  const auto rest = parser.finish();
  if (!rest) return {};
  events.insert(events.end(), rest->begin(), rest->end());
  return events;
}

void check(const std::variant<ChatReply, CallFailure>& outcome) {
  if (const auto* failure = std::get_if<CallFailure>(&outcome)) {
    CAMBRIAN_ASSERT(failure->message.size() <= 512);
    CAMBRIAN_ASSERT(failure->message.find('\n') == std::string::npos);
    CAMBRIAN_ASSERT(to_valid_utf8(failure->message) == failure->message);
    return;
  }
  const auto& reply = std::get<ChatReply>(outcome);
  CAMBRIAN_ASSERT(!reply.usage || reply.usage->prompt_tokens >= 0);
}

}  // namespace

/// A stream gives the same events however it is cut; no reply breaks the readers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto events = events_of(input, input.size() + 1);
  CAMBRIAN_ASSERT(events == events_of(input, 1));
  CAMBRIAN_ASSERT(events == events_of(input, 7));
  openai::StreamedReply stream;
  for (const std::string& event : events) {
    if (!stream.add(event)) break;
  }
  check(std::move(stream).finish());
  check(openai::parse_reply(input));
  check(openai::parse_error(500, input));
  CAMBRIAN_ASSERT(openai::strip_thoughts(input).size() <= input.size());
  return 0;
}
