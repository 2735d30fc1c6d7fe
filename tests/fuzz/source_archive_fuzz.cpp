#include <cstdint>
#include <string_view>

#include "common/base/assert.hpp"
#include "worker/evaluator/source_archive.hpp"

using namespace cambrian::worker;

namespace {

bool is_inside(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

}  // namespace

/// What a fork of the warm evaluator unpacks: parts of the archive, below its folder, or nothing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto files = read_archive(input);
  if (!files) return 0;
  for (const ArchivedFile& file : *files) {
    CAMBRIAN_ASSERT(is_inside(file.path, input) && is_inside(file.content, input));
    CAMBRIAN_ASSERT(!file.path.empty() && file.path.front() != '/' && file.path.back() != '/');
    const std::string path = "/" + std::string(file.path) + "/";
    for (const char* part : {"//", "/./", "/../"}) {
      CAMBRIAN_ASSERT(path.find(part) == std::string::npos);
    }
  }
  const std::string again = write_archive(*files);
  const auto read = read_archive(again);
  CAMBRIAN_ASSERT(read && read->size() == files->size());
  for (std::size_t i = 0; i < files->size(); ++i) {
    CAMBRIAN_ASSERT((*read)[i].path == (*files)[i].path);
    CAMBRIAN_ASSERT((*read)[i].content == (*files)[i].content);
  }
  return 0;
}
