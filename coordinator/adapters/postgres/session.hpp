#pragma once

#include <chrono>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <unordered_map>

namespace cambrian::coordinator::postgres {

/// A connection that remembers what it has prepared: the server parses each statement once and
/// keeps its plan for some seconds, where it would plan anew at every call. What runs often costs
/// half of the server's time without it.
class Session : public pqxx::connection {
 public:
  explicit Session(const std::string& options) : pqxx::connection(options) {}

  /// `sql` is a constant: its address names it.
  pqxx::prepped prepared(const char* sql) {
    auto found = names_.find(sql);
    if (found == names_.end()) {
      const auto name = "s" + std::to_string(names_.size());
      prepare(name, sql);
      found = names_.emplace(sql, name).first;
    }
    return pqxx::zview(found->second);
  }

  /// Between transactions: makes the server forget plans that it made some seconds ago. A plan that
  /// was made when a table was empty may read all of it, and is else kept until somebody analyses
  /// the table; in the first minute of a database nobody does.
  void forget_old_plans() {
    const auto now = std::chrono::steady_clock::now();
    if (now - planned_at_ < kPlanAgeMax) return;
    pqxx::nontransaction(*this).exec("DISCARD PLANS");
    planned_at_ = now;
  }

 private:
  static constexpr std::chrono::seconds kPlanAgeMax{5};

  std::chrono::steady_clock::time_point planned_at_ = std::chrono::steady_clock::now();
  std::unordered_map<const char*, std::string> names_;
};

/// PostgreSQL explains its errors in several lines; the first says what it is.
inline std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

/// Runs a constant statement, prepared. The transaction is one on a Session: those of `Database`
/// are.
inline pqxx::result execute(pqxx::work& transaction, const char* sql,
                            const pqxx::params& parameters = {}) {
  auto& session = static_cast<Session&>(transaction.conn());
  return transaction.exec(session.prepared(sql), parameters);
}

}  // namespace cambrian::coordinator::postgres
