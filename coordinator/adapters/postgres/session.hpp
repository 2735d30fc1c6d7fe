#pragma once

#include <pqxx/pqxx>
#include <string>
#include <unordered_map>

namespace cambrian::coordinator::postgres {

/// A connection that remembers what it has prepared: the server parses and plans each statement
/// once, and not at every call. What runs often costs half of the server's time without it.
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

 private:
  std::unordered_map<const char*, std::string> names_;
};

/// Runs a constant statement, prepared. The transaction is one on a Session: those of `Database`
/// are.
inline pqxx::result execute(pqxx::work& transaction, const char* sql,
                            const pqxx::params& parameters = {}) {
  auto& session = static_cast<Session&>(transaction.conn());
  return transaction.exec(session.prepared(sql), parameters);
}

}  // namespace cambrian::coordinator::postgres
