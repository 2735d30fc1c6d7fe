#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/domain/edit_apply.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/base/assert.hpp"
#include "common/source/evolve_block.hpp"
#include "common/source/token_digest.hpp"

using namespace cambrian::codegen;
namespace source = cambrian::source;

namespace {

const Files kParent = {
    {"a.cpp",
     "#include <cmath>\r\n// EVOLVE-BLOCK-START\ndouble rate() {\n  return 0.1;\n}\n"
     "// EVOLVE-BLOCK-END\nint fixed = 1;\n// EVOLVE-BLOCK-START\n// EVOLVE-BLOCK-END\nint end;"},
    {"b.cpp", "int whole = 1;\nint file = 2;\n"}};

/// What a variant must not change: everything outside of the blocks, the marks included.
std::vector<std::string> fixed_parts(const std::string& text) {
  const auto blocks = source::find_evolve_blocks(text);
  CAMBRIAN_ASSERT(blocks.has_value());
  std::vector<std::string> parts;
  std::size_t position = 0;
  for (const auto& block : *blocks) {
    parts.push_back(text.substr(position, block.begin - position));
    position = block.end;
  }
  parts.push_back(text.substr(position));
  return parts;
}

void check(const Rejection& rejection) {
  CAMBRIAN_ASSERT(!rejection.reason.empty());
  CAMBRIAN_ASSERT(rejection.reason.size() <= kRejectionBytesMax);
  CAMBRIAN_ASSERT(rejection.reason.find('\n') == std::string::npos);
}

}  // namespace

/// Whatever a model answers: what comes out differs from the parent inside of the marks only.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Task task{.evolve = {"a.cpp", "b.cpp"}, .source_bytes_max = 2000};
  const auto answer = parse_answer(input, task.evolve);
  if (!answer) {
    check(answer.error());
    return 0;
  }
  CAMBRIAN_ASSERT(!answer->edits.empty() && answer->edits.size() <= kEditsMax);
  CAMBRIAN_ASSERT(answer->rationale.size() <= kRationaleBytesMax);
  CAMBRIAN_ASSERT(to_valid_utf8(answer->rationale) == answer->rationale);
  const auto files = apply_answer(*answer, kParent, task);
  if (!files) {
    check(files.error());
    return 0;
  }
  CAMBRIAN_ASSERT(files->size() == kParent.size());
  CAMBRIAN_ASSERT(fixed_parts(files->at("a.cpp")) == fixed_parts(kParent.at("a.cpp")));
  for (const auto& [path, content] : *files) {
    CAMBRIAN_ASSERT(content.size() <= static_cast<std::size_t>(task.source_bytes_max));
  }
  CAMBRIAN_ASSERT(source::token_digest(*files, task.language) !=
                  source::token_digest(kParent, task.language));
  return 0;
}
