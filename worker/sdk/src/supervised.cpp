#include "cambrian/supervised.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "cambrian/data_files.hpp"
#include "common/base/rng.hpp"

namespace cambrian {
namespace {

using Rows = std::vector<std::size_t>;

// Which examples are held out must be the same in every evaluation, whatever its seed.
constexpr std::uint64_t kSplitSeed = 20220430;

template <class From>
void copy_rows(const Tensor& tensor, const Rows& rows, float scale, float* out) {
  const auto values = tensor.values<From>();
  const std::size_t width = tensor.size() / static_cast<std::size_t>(tensor.shape().at(0));
  for (const std::size_t row : rows) {
    const From* from = values.data() + row * width;
    for (std::size_t i = 0; i < width; ++i) *out++ = static_cast<float>(from[i]) * scale;
  }
}

void copy_rows(const Examples& examples, const Rows& rows, float* out) {
  const Tensor& inputs = examples.inputs;
  switch (inputs.dtype()) {
    case DType::f32: return copy_rows<float>(inputs, rows, examples.scale, out);
    case DType::f64: return copy_rows<double>(inputs, rows, examples.scale, out);
    case DType::u8: return copy_rows<std::uint8_t>(inputs, rows, examples.scale, out);
    case DType::i32:
    case DType::i64: break;
  }
  throw std::invalid_argument("inputs must be f32, f64 or u8");
}

Shape with_rows(Shape shape, std::size_t rows) {
  shape.at(0) = static_cast<std::int64_t>(rows);
  return shape;
}

// These examples in shared memory: a candidate maps them, and no bytes are copied.
Examples select(const Examples& from, const Rows& rows) {
  Examples out;
  out.inputs = make_shared_tensor(
      "inputs", DType::f32, with_rows(from.inputs.shape(), rows.size()),
      [&](std::byte* data) { copy_rows(from, rows, reinterpret_cast<float*>(data)); });
  const std::size_t row_bytes =
      from.targets.bytes().size() / static_cast<std::size_t>(from.targets.shape().at(0));
  out.targets =
      make_shared_tensor("targets", from.targets.dtype(),
                         with_rows(from.targets.shape(), rows.size()), [&](std::byte* data) {
                           for (const std::size_t row : rows) {
                             std::memcpy(data, from.targets.data() + row * row_bytes, row_bytes);
                             data += row_bytes;
                           }
                         });
  return out;
}

// The same memory under another name.
Tensor with_name(const Tensor& tensor, std::string name) {
  return {std::move(name), tensor.dtype(), tensor.shape(), tensor.storage(), tensor.offset()};
}

Rows all_rows(std::int64_t size) {
  Rows rows(static_cast<std::size_t>(size));
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

struct Run {
  Trained trained;
  /// f32 [held-out examples, outputs], one row behind the other.
  std::vector<float> outputs;
};

TrainLimits train_limits(const Session& session) {
  constexpr double kDay = 86400;
  TrainLimits limits;
  limits.budget = Seconds(session.parameter("train_seconds", 5, 0.01, kDay));
  const double grace = 1 + 0.1 * limits.budget.count();
  limits.grace = Seconds(session.parameter("grace_seconds", grace, 0, kDay));
  return limits;
}

// A part of other memory that is sent as numbers. With the memory file itself a candidate would see
// what it is not asked yet.
class PartStorage final : public TensorStorage {
 public:
  PartStorage(std::shared_ptr<const TensorStorage> whole, std::size_t offset, std::size_t size)
      : whole_(std::move(whole)), offset_(offset), size_(size) {}

  std::byte* data() const override { return whole_->data() + offset_; }
  std::size_t size() const override { return size_; }

 private:
  std::shared_ptr<const TensorStorage> whole_;
  std::size_t offset_;
  std::size_t size_;
};

// One batch of the held-out inputs.
Tensor batch_of(const Tensor& inputs, std::size_t first, std::size_t count) {
  const std::size_t rows = static_cast<std::size_t>(inputs.shape().at(0));
  const std::size_t row_bytes = inputs.bytes().size() / rows;
  const auto part = std::make_shared<PartStorage>(
      inputs.storage(), inputs.offset() + first * row_bytes, count * row_bytes);
  return {"inputs", DType::f32, with_rows(inputs.shape(), count), part, 0};
}

/// How an answer at a rung is measured.
struct RungScore {
  double (*score)(std::span<const float> outputs, const Examples& examples);
  double worst;
};

// What the candidate is asked at rungs; none where the campaign has no rungs.
std::optional<Probe> make_probe(const Session& session, const SupervisedTask& task,
                                std::int64_t outputs, const RungScore& rung) {
  if (session.evaluation().rungs.empty()) return std::nullopt;
  if (!task.probe) {
    throw std::invalid_argument(
        "no examples for the rungs of this campaign: set the parameter probe of the task");
  }
  const Examples& examples = *task.probe;
  Probe probe;
  probe.inputs = examples.inputs;
  probe.outputs = {"outputs", DType::f32, {examples.size(), outputs}};
  probe.score = [&examples, score = rung.score](const Tensor& answer) {
    return score(answer.values<float>(), examples);
  };
  probe.worst = rung.worst;
  return probe;
}

Run run_supervised(Session& session, const SupervisedTask& task, std::int64_t outputs,
                   const RungScore& rung) {
  const TrainLimits limits = train_limits(session);
  const Seconds predict_time(
      session.parameter("predict_seconds", 10 + limits.budget.count(), 0.01, 86400));
  const auto batch_size =
      static_cast<std::size_t>(session.integer_parameter("predict_batch", 1000, 1, 1'000'000));
  const std::optional<Probe> probe = make_probe(session, task, outputs, rung);
  Run run{train_apart(session, {task.train.inputs, task.train.targets}, probe ? &*probe : nullptr),
          {}};
  RemoteCandidate predictor = session.start_candidate("predict");
  // One time for everything: with so much for each batch, a candidate could go on training here.
  const Clock::time_point start = Clock::now();
  const auto left = [&] { return Seconds(predict_time - (Clock::now() - start)); };
  predictor.load(run.trained.state, left());
  const auto total = static_cast<std::size_t>(task.held_out.size());
  for (std::size_t first = 0; first < total; first += batch_size) {
    const std::size_t count = std::min(batch_size, total - first);
    const Tensor predicted = predictor.predict(
        {batch_of(task.held_out.inputs, first, count)},
        {"outputs", DType::f32, {static_cast<std::int64_t>(count), outputs}}, left());
    const auto values = predicted.values<float>();
    run.outputs.insert(run.outputs.end(), values.begin(), values.end());
  }
  predictor.finish();
  return run;
}

// The class of each example: the largest of its outputs.
std::vector<std::int32_t> classes_of(std::span<const float> outputs, const Examples& examples) {
  std::vector<std::int32_t> classes(static_cast<std::size_t>(examples.size()));
  const std::size_t width = outputs.size() / classes.size();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const float* row = outputs.data() + i * width;
    classes[i] = static_cast<std::int32_t>(std::max_element(row, row + width) - row);
  }
  return classes;
}

Mean accuracy_among(std::span<const std::int32_t> predicted, const Examples& examples) {
  const auto labels = examples.targets.values<std::int64_t>();
  std::int64_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += predicted[i] == labels[i] ? 1 : 0;
  return accuracy_of(right, examples.size());
}

double mean_square_of(std::span<const float> outputs, const Examples& examples) {
  const auto targets = examples.targets.values<float>();
  const auto count = static_cast<double>(targets.size());
  double squares = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double error = double{outputs[i]} - double{targets[i]};
    squares += error * error / count;
  }
  return squares;
}

Verdict verdict_of(const Run& run) {
  Verdict verdict;
  verdict.metrics["parameters"] = static_cast<double>(run.trained.stored_scalars);
  verdict.metrics["steps"] = static_cast<double>(run.trained.steps);
  verdict.metrics["train_seconds"] = run.trained.duration.count();
  return verdict;
}

// `stem` itself, or compressed.
std::filesystem::path find_file(const std::filesystem::path& folder, const std::string& stem) {
  const auto plain = folder / stem;
  return std::filesystem::exists(plain) ? plain : folder / (stem + ".gz");
}

Examples read_idx_examples(const std::filesystem::path& folder, const std::string& prefix) {
  const Tensor images = read_idx(find_file(folder, prefix + "-images-idx3-ubyte"));
  const Tensor labels = read_idx(find_file(folder, prefix + "-labels-idx1-ubyte"));
  if (images.shape().size() != 3) throw std::runtime_error("images must have three dimensions");
  const Shape shape = {images.shape()[0], 1, images.shape()[1], images.shape()[2]};
  Examples examples;
  examples.inputs = Tensor("inputs", DType::u8, shape, images.storage(), 0);
  examples.targets = make_tensor("targets", labels.shape(), to_integers(labels));
  examples.scale = 1.0F / 255;
  return examples;
}

Examples read_npy_examples(const std::filesystem::path& folder, const std::string& prefix) {
  Examples examples;
  examples.inputs = read_npy(find_file(folder, prefix + "_inputs.npy"));
  const Tensor targets = read_npy(find_file(folder, prefix + "_targets.npy"));
  const bool is_class = targets.dtype() != DType::f32 && targets.dtype() != DType::f64;
  if (is_class) {
    examples.targets = make_tensor("targets", targets.shape(), to_integers(targets));
    return examples;
  }
  Shape shape = targets.shape();
  if (shape.size() == 1) shape.push_back(1);
  examples.targets = make_tensor("targets", shape, to_floats(targets));
  return examples;
}

// The files of a folder and which version of them it has: data without a digest may change.
std::string files_of(const std::filesystem::path& folder) {
  std::vector<std::string> lines;
  std::error_code none;  // Whoever reads the data says what is missing.
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (!entry.is_regular_file(none)) continue;
    lines.push_back(entry.path().filename().string() + " " + std::to_string(entry.file_size()) +
                    " " + std::to_string(entry.last_write_time().time_since_epoch().count()) +
                    "\n");
  }
  std::ranges::sort(lines);
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

void check_examples(const Examples& examples, const std::filesystem::path& folder) {
  const Shape& inputs = examples.inputs.shape();
  const Shape& targets = examples.targets.shape();
  if (inputs.empty() || targets.empty() || inputs[0] == 0 || inputs[0] != targets[0]) {
    throw std::runtime_error("inputs and targets do not fit together: folder=" + folder.string());
  }
}

}  // namespace

SupervisedTask split_examples(const Examples& train, const Examples& test, std::int64_t validation,
                              Split split) {
  return split_examples(train, test, HoldOut{.validation = validation, .split = split});
}

SupervisedTask split_examples(const Examples& train, const Examples& test,
                              const HoldOut& held_out) {
  const auto [validation, probe, split] = held_out;
  if (validation < 1 || probe < 0 || validation >= train.size() - probe) {
    throw std::invalid_argument(
        "validation does not fit: validation=" + std::to_string(validation) +
        " probe=" + std::to_string(probe) + " training examples=" + std::to_string(train.size()));
  }
  Rows rows = all_rows(train.size());
  Rng(kSplitSeed).shuffle(rows);
  const auto middle = rows.end() - static_cast<std::ptrdiff_t>(validation);
  const auto first = middle - static_cast<std::ptrdiff_t>(probe);
  // In the file's order, so that memory is read forwards.
  std::sort(rows.begin(), first);
  std::sort(first, middle);
  std::sort(middle, rows.end());
  SupervisedTask task{select(train, Rows(rows.begin(), first)),
                      split == Split::sealed ? select(test, all_rows(test.size()))
                                             : select(train, Rows(middle, rows.end()))};
  if (probe > 0) task.probe = select(train, Rows(first, middle));
  return task;
}

Examples share_examples(const Examples& examples) {
  return select(examples, all_rows(examples.size()));
}

SupervisedTask keep_examples(Session& session, const std::string& key,
                             const std::function<SupervisedTask()>& make) {
  const bool is_sealed = session.evaluation().split == Split::sealed;
  const std::vector<Tensor> kept = session.keep(key + (is_sealed ? " sealed" : " validation"), [&] {
    const SupervisedTask task = make();
    std::vector<Tensor> tensors;
    const auto add = [&tensors](const Examples& examples) {
      // In one frame no two tensors have the same name.
      const std::string number = std::to_string(tensors.size());
      tensors.push_back(with_name(examples.inputs, "inputs" + number));
      tensors.push_back(with_name(examples.targets, "targets" + number));
    };
    add(task.train);
    add(task.held_out);
    if (task.probe) add(*task.probe);
    return tensors;
  });
  const auto examples_at = [&kept](std::size_t place) {
    return Examples{with_name(kept.at(place), "inputs"), with_name(kept.at(place + 1), "targets")};
  };
  SupervisedTask task{examples_at(0), examples_at(2)};
  if (kept.size() > 4) task.probe = examples_at(4);
  return task;
}

SupervisedTask keep_data_set(Session& session) {
  const std::filesystem::path folder = session.data_path("dataset");
  // 0: not set. Checked against the data, which the key does not need.
  constexpr std::int64_t kExamplesMax = 1'000'000'000;
  const auto wanted = session.integer_parameter("validation", 0, 0, kExamplesMax);
  const auto probe = session.integer_parameter("probe", 0, 0, kExamplesMax);
  const std::string key =
      "validation=" + std::to_string(wanted) + " probe=" + std::to_string(probe);
  return keep_examples(session, files_of(folder) + key, [&] {
    const DataSet data = read_data_set(folder);
    const std::int64_t size = data.train.size();
    const auto validation = session.integer_parameter("validation", size / 10, 1, size - 1);
    return split_examples(
        data.train, data.test,
        {.validation = validation, .probe = probe, .split = session.evaluation().split});
  });
}

Trained train_apart(Session& session, std::vector<Tensor> data, const Probe* probe) {
  RemoteCandidate trainer = session.start_candidate("train");
  Trained trained = trainer.train(std::move(data), train_limits(session), probe);
  trainer.finish();
  session.end_candidate();
  return trained;
}

Verdict judge_classification(Session& session, const SupervisedTask& task, std::int64_t classes) {
  const RungScore rung{[](std::span<const float> outputs, const Examples& examples) {
                         return accuracy_among(classes_of(outputs, examples), examples).value;
                       },
                       0};
  const Run run = run_supervised(session, task, classes, rung);
  const std::vector<std::int32_t> predicted = classes_of(run.outputs, task.held_out);
  Verdict verdict = verdict_of(run);
  const Mean accuracy = accuracy_among(predicted, task.held_out);
  verdict.metrics["accuracy"] = accuracy.value;
  verdict.metrics["accuracy_standard_error"] = accuracy.standard_error;
  BehaviourDigest digest;
  digest.add(std::span<const std::int32_t>(predicted));
  verdict.behaviour_digest = digest.finish_hex();
  return verdict;
}

Verdict judge_regression(Session& session, const SupervisedTask& task) {
  const RungScore rung{[](std::span<const float> outputs, const Examples& examples) {
                         return std::sqrt(mean_square_of(outputs, examples));
                       },
                       std::numeric_limits<double>::max()};
  const auto targets = task.held_out.targets.values<float>();
  const Run run = run_supervised(session, task, task.held_out.targets.shape().at(1), rung);
  const auto count = static_cast<double>(targets.size());
  double mean = 0;
  for (const float target : targets) mean += target / count;
  const double squares = mean_square_of(run.outputs, task.held_out);
  double absolute = 0;
  double variance = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double error = double{run.outputs[i]} - double{targets[i]};
    absolute += std::abs(error) / count;
    variance += (targets[i] - mean) * (targets[i] - mean) / count;
  }
  Verdict verdict = verdict_of(run);
  verdict.metrics["rmse"] = std::sqrt(squares);
  verdict.metrics["mae"] = absolute;
  if (variance > 0) verdict.metrics["r_squared"] = 1 - squares / variance;
  BehaviourDigest digest;
  digest.add(std::span<const float>(run.outputs));
  verdict.behaviour_digest = digest.finish_hex();
  return verdict;
}

DataSet read_data_set(const std::filesystem::path& folder) {
  const bool is_npy = std::filesystem::exists(find_file(folder, "train_inputs.npy"));
  const auto read = is_npy ? read_npy_examples : read_idx_examples;
  DataSet data{read(folder, "train"), read(folder, is_npy ? "test" : "t10k")};
  check_examples(data.train, folder);
  check_examples(data.test, folder);
  return data;
}

}  // namespace cambrian
