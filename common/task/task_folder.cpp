#include "common/task/task_folder.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <set>

#include "common/config/nearest.hpp"
#include "common/digest/sha256.hpp"
#include "common/source/evolve_block.hpp"
#include "common/task/manifest.hpp"
#include "common/task/names.hpp"

namespace cambrian::task {
namespace {

namespace fs = std::filesystem;

constexpr int kFolderDepthMax = 16;

bool is_ignored(const std::string& name) {
  return name.starts_with('.') || name == "__pycache__" || name.ends_with(".pyc") ||
         name.ends_with('~');
}

bool is_inside(const fs::path& folder, const fs::path& path) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

/// Packs the files of a folder. Problems go into the document: they have no line.
class Packer {
 public:
  Packer(LoadedTask& task, config::Document& document) : task_(task), document_(document) {}

  void run() {
    // Collected first and sorted by path, so that neither order nor problems depend on the disk.
    std::error_code error;
    fs::recursive_directory_iterator walk(task_.folder, error);
    for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
      if (is_ignored(walk->path().filename().string())) {
        walk.disable_recursion_pending();
        continue;
      }
      if (walk.depth() > kFolderDepthMax) return problem("folders nested too deep", walk->path());
      std::error_code ignored;
      if (walk->is_directory(ignored) && !walk->is_symlink(ignored)) continue;
      paths_.insert(walk->path().lexically_relative(task_.folder).generic_string());
      if (paths_.size() > kFilesMax) {
        return problem("more than " + std::to_string(kFilesMax) + " files in", task_.folder);
      }
    }
    if (error) return problem("cannot list the folder: " + error.message() + ":", task_.folder);
    for (const std::string& path : paths_) add_file(path);
  }

 private:
  void problem(std::string message, const fs::path& path) {
    document_.add({"", {}, std::move(message) + " " + path.string(), ""});
  }

  void add_file(const std::string& path) {
    if (!is_inner_path(path)) {
      return problem("a file name with characters that are not accepted:", path);
    }
    std::error_code error;
    const fs::path real = fs::canonical(task_.folder / path, error);
    if (error) return problem("cannot read (" + error.message() + "):", path);
    if (!is_inside(task_.folder, real)) {
      return problem("a link that leads out of the task folder:", path);
    }
    if (!fs::is_regular_file(real, error)) return problem("neither a file nor a folder:", path);
    Result<std::string> content = config::read_text_file(real, kTaskFileBytesMax);
    if (!content) return document_.add({"", {}, content.error().message, ""});
    bytes_ += content->size();
    if (bytes_ > kTaskBytesMax) {
      if (!is_full_) problem("the files are larger than 64 MiB in total:", task_.folder);
      is_full_ = true;
      return;
    }
    const auto permissions = fs::status(real, error).permissions();
    spec::v1::BundleFile* file = task_.bundle.add_files();
    file->set_path(path);
    file->set_sha256(sha256_hex(*content));
    file->set_size_bytes(static_cast<std::int64_t>(content->size()));
    file->set_executable((permissions & fs::perms::owner_exec) != fs::perms::none);
    task_.contents[path] = std::move(*content);
  }

  LoadedTask& task_;
  config::Document& document_;
  std::set<std::string> paths_;
  std::size_t bytes_ = 0;
  bool is_full_ = false;
};

/// The file that a field names, or a problem with what might have been meant.
const std::string* find_content(const LoadedTask& task, const std::string& field,
                                const std::string& prefix, const std::string& name,
                                config::Document& document) {
  const auto found = task.contents.find(prefix + name);
  if (found != task.contents.end()) return &found->second;
  std::vector<std::string> names;
  for (const auto& [path, content] : task.contents) {
    if (path.starts_with(prefix)) names.push_back(path.substr(prefix.size()));
  }
  const auto nearest = nearest_name(name, names);
  document.add_field_problem(field, "no such file in the task folder: " + prefix + name,
                             nearest ? "did you mean \"" + *nearest + "\"?" : "");
  return nullptr;
}

void check_evolvable(const spec::v1::TaskManifest& manifest, const std::string& field,
                     const std::string& name, const std::string& content,
                     config::Document& document) {
  const std::int64_t limit =
      manifest.limits().source_bytes() > 0 ? manifest.limits().source_bytes() : kSourceBytesDefault;
  if (static_cast<std::int64_t>(content.size()) > limit) {
    document.add_field_problem(field, "seed/" + name + " is larger than limits.source_bytes (" +
                                          std::to_string(limit) + ")");
  }
  const auto blocks = source::find_evolve_blocks(content);
  if (!blocks) {
    document.add_field_problem(field, "seed/" + name + ": " + blocks.error().message);
  } else if (content.find(source::kEvolveBlockStart) == std::string::npos) {
    // Without marks the whole file could change: never by accident.
    document.add_field_problem(field,
                               "seed/" + name + " has no EVOLVE-BLOCK-START and EVOLVE-BLOCK-END",
                               "put the two words into comment lines around what may change");
  }
}

void check_files(const LoadedTask& task, config::Document& document) {
  const spec::v1::TaskManifest& manifest = task.bundle.manifest();
  for (int i = 0; i < manifest.candidate().evolve_size(); ++i) {
    const std::string field = "candidate.evolve[" + std::to_string(i) + "]";
    const std::string& name = manifest.candidate().evolve(i);
    const std::string* content = find_content(task, field, "seed/", name, document);
    if (content != nullptr) check_evolvable(manifest, field, name, *content, document);
  }
  for (int i = 0; i < manifest.judge().sources_size(); ++i) {
    find_content(task, "judge.sources[" + std::to_string(i) + "]", "", manifest.judge().sources(i),
                 document);
  }
}

}  // namespace

std::string serialize(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

std::string bundle_digest(const spec::v1::TaskBundle& bundle) {
  return sha256_hex(serialize(bundle));
}

Result<TaskReading> read_task_folder(const fs::path& path) {
  fs::path given = path.filename() == "task.yaml" ? path.parent_path() : path;
  if (given.empty()) given = ".";
  std::error_code error;
  const fs::path folder = fs::canonical(given, error);
  if (error) {
    return fail(Errc::not_found,
                "cannot read the task folder " + given.string() + ": " + error.message());
  }
  CAMBRIAN_TRY(auto file, config::read_yaml_file<spec::v1::TaskManifest>(given / "task.yaml"));
  TaskReading reading{std::move(file.document), std::nullopt};
  // Later checks would repeat what the reader said in other words.
  if (!reading.document.is_ok()) return reading;
  LoadedTask task;
  task.folder = folder;
  *task.bundle.mutable_manifest() = std::move(file.message);
  for (const FieldProblem& problem : check_manifest(task.bundle.manifest())) {
    reading.document.add_field_problem(problem.field, problem.message, problem.fix);
  }
  Packer(task, reading.document).run();
  check_files(task, reading.document);
  if (!reading.document.is_ok()) return reading;
  task.digest = bundle_digest(task.bundle);
  reading.task = std::move(task);
  return reading;
}

Result<LoadedTask> load_task_folder(const fs::path& path) {
  CAMBRIAN_TRY(TaskReading reading, read_task_folder(path));
  if (!reading.task) return fail(Errc::invalid_argument, reading.document.render());
  return std::move(*reading.task);
}

}  // namespace cambrian::task
