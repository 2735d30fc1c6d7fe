// The ready judge `language_model`: the data source `dataset` is a text file (plain or .gz), read
// byte by byte, or a folder with train.txt and test.txt. Of a file the last tenth is sealed. Of the
// rest, `validation` bytes at the end (default a tenth) are held out for the split `validation`.
// Other parameters are those of judge_language_model().
#include <cambrian/data_files.hpp>
#include <cambrian/language_model.hpp>
#include <filesystem>

namespace {

namespace fs = std::filesystem;
using Text = std::vector<std::uint8_t>;

struct Texts {
  Text train;
  Text test;
};

fs::path find_text(const fs::path& folder, const std::string& name) {
  return fs::exists(folder / name) ? folder / name : folder / (name + ".gz");
}

Texts read_texts(const fs::path& path) {
  if (fs::is_directory(path)) {
    return {cambrian::read_data_file(find_text(path, "train.txt")),
            cambrian::read_data_file(find_text(path, "test.txt"))};
  }
  Texts texts{cambrian::read_data_file(path), {}};
  const auto middle = texts.train.end() - static_cast<std::ptrdiff_t>(texts.train.size() / 10);
  texts.test.assign(middle, texts.train.end());
  texts.train.erase(middle, texts.train.end());
  return texts;
}

}  // namespace

cambrian::Verdict cambrian::judge(Session& session) {
  const Texts texts = read_texts(session.data_path("dataset"));
  const auto size = static_cast<std::int64_t>(texts.train.size());
  const auto validation = session.integer_parameter("validation", size / 10, 1, size - 1);
  const std::span<const std::uint8_t> all(texts.train);
  const auto kept = static_cast<std::size_t>(size - validation);
  const bool is_sealed = session.evaluation().split == Split::sealed;
  return judge_language_model(
      session,
      {.train = all.first(kept),
       .held_out = is_sealed ? std::span<const std::uint8_t>(texts.test) : all.subspan(kept)});
}
