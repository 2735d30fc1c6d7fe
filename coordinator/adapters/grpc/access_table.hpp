#pragma once

#include <span>
#include <string>
#include <string_view>

#include "coordinator/ports/access.hpp"

/// Which role may call what: the one place.
namespace cambrian::coordinator::wire {

/// A method of our services. Its name alone tells it: no two services share one.
struct Access {
  std::string_view method;
  unsigned roles = 0;      ///< One bit for each role beside the administrator, who may call all.
  bool is_change = false;  ///< Goes into the audit log.
};

/// All methods.
std::span<const Access> access_table();

/// Null for a method that is not there: nobody may call it.
const Access* find_access(std::string_view method);

bool is_allowed(const Access& access, Role role);

/// For people: `admin, user`.
std::string roles_text(const Access& access);

/// True where the role may only change campaigns of its own name.
constexpr bool is_bound_to_own(Role role) { return role != Role::admin; }

}  // namespace cambrian::coordinator::wire
