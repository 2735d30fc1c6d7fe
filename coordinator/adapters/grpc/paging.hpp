#pragma once

#include <google/protobuf/message.h>

#include <charconv>
#include <string>

#include "common/base/result.hpp"

namespace cambrian::coordinator::wire {

inline constexpr int kPageSizeDefault = 100;
inline constexpr int kPageSizeMax = 1000;
/// A page ends before it outgrows a message.
inline constexpr std::size_t kPageBytesMax = 3 * 1024 * 1024;
/// Longest name that is looked up.
inline constexpr std::size_t kNameMax = 256;

struct Page {
  int size = kPageSizeDefault;
  std::int64_t token = 0;  ///< Where the page before ended; 0: the first page.
};

/// Size and token of a list request. Errors: invalid_argument for a size out of range and a token
/// that is not ours.
template <class Request>
Result<Page> page_of(const Request& request) {
  Page page;
  if (request.page_size() < 0 || request.page_size() > kPageSizeMax) {
    return fail(Errc::invalid_argument, "page_size must be 1 to 1000");
  }
  if (request.page_size() > 0) page.size = request.page_size();
  const std::string& token = request.page_token();
  if (token.empty()) return page;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), page.token);
  if (error != std::errc() || end != token.data() + token.size() || page.token < 0) {
    return fail(Errc::invalid_argument, "page_token is not one of ours");
  }
  return page;
}

/// Adds records to a response until it is full. `add` converts one record and returns its message.
/// Returns how many went in: at least one of those there are, so that pages come to an end.
template <class Records, class Add>
std::size_t fill_page(const Records& records, Add add) {
  std::size_t count = 0;
  std::size_t bytes = 0;  // Summed up: the whole page is measured once, and not for each record.
  for (const auto& record : records) {
    if (bytes > kPageBytesMax) break;
    const google::protobuf::Message* added = add(record);
    bytes += added->ByteSizeLong();
    ++count;
  }
  return count;
}

/// True when there may be more behind the records that went into a page.
inline bool has_next_page(std::size_t count, std::size_t found, const Page& page) {
  return count > 0 && (count < found || count == static_cast<std::size_t>(page.size));
}

}  // namespace cambrian::coordinator::wire
