#include <unistd.h>

#include "cambrian/frame.hpp"

namespace cambrian {
namespace {

const Json& required(const Message& message, std::string_view name) {
  const auto found = message.members.find(name);
  if (found == message.members.end()) {
    throw FrameError(FrameError::Kind::malformed,
                     message.type + " without member " + std::string(name));
  }
  return found->second;
}

[[noreturn]] void wrong_kind(const Message& message, std::string_view name) {
  throw FrameError(FrameError::Kind::malformed,
                   message.type + " with a wrong member " + std::string(name));
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

std::int64_t Message::integer(std::string_view name) const {
  const auto value = required(*this, name).integer();
  if (!value) wrong_kind(*this, name);
  return *value;
}

double Message::number(std::string_view name) const {
  const auto value = required(*this, name).number();
  if (!value) wrong_kind(*this, name);
  return *value;
}

const std::string& Message::text(std::string_view name) const {
  const std::string* value = required(*this, name).text();
  if (value == nullptr) wrong_kind(*this, name);
  return *value;
}

const Tensor& Message::tensor(std::string_view name) const {
  if (const Tensor* found = find_tensor(name)) return *found;
  throw FrameError(FrameError::Kind::malformed, type + " without tensor " + std::string(name));
}

const Tensor* Message::find_tensor(std::string_view name) const {
  for (const Tensor& tensor : tensors) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}

}  // namespace cambrian
