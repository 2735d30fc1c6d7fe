#pragma once

#include <memory>
#include <string>
#include <vector>

namespace cambrian::worker {

/// A compiler that has parsed the headers of all candidates already. Each object of it compiles one
/// source: it is meant to be forked before.
///
/// The source is parsed by Clang's incremental parser behind the headers, and compiled by Clang's
/// own back end with the options of a plain compile, so that the machine code computes the same.
/// What the warm library holds compiled is taken from there.
class WarmCompiler {
 public:
  struct Options {
    std::string library;  ///< The warm library: loaded with everything that it needs.
    std::string warm_source;
    std::vector<std::string> flags;  ///< Of clang, without its name.
    /// What the library has is inlined as in a plain compile; else small functions alone, which
    /// takes less time.
    bool is_inlining_all = false;
  };
  enum class Outcome { compiled, failed, unsupported };

  /// Loads the library and parses `warm_source`: 20 s for LibTorch. Prints what is wrong and gives
  /// null.
  static std::unique_ptr<WarmCompiler> make(const Options& options);
  ~WarmCompiler();

  /// Compiles the file to an object file. Prints diagnostics as clang does.
  Outcome compile(const std::string& source, const std::string& object);
  /// True when the warm library, or what a plain program is linked with, has everything that the
  /// linked shared object misses, and the object has an entry for the SDK.
  bool is_complete(const std::string& shared_object) const;

 private:
  struct Parts;
  explicit WarmCompiler(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace cambrian::worker
