#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace cambrian {

/// A number that names one kind of thing and cannot be mixed up with another kind:
/// `using VariantNumber = Id<struct VariantTag>;`
template <class Tag>
struct Id {
  std::int64_t value = 0;

  friend auto operator<=>(const Id&, const Id&) = default;
  friend std::ostream& operator<<(std::ostream& out, Id id) { return out << id.value; }
};

}  // namespace cambrian

template <class Tag>
struct std::hash<cambrian::Id<Tag>> {
  std::size_t operator()(cambrian::Id<Tag> id) const noexcept {
    return std::hash<std::int64_t>{}(id.value);
  }
};
