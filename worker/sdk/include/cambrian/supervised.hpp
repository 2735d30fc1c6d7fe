#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cambrian/judge.hpp"
#include "cambrian/tensor.hpp"

namespace cambrian {

/// Examples with their targets. Inputs may be f32, f64 or u8; candidates always get f32, multiplied
/// by `scale`. Targets are class numbers (i64, [examples]) or values (f32, [examples, outputs]).
struct Examples {
  Tensor inputs;
  Tensor targets;
  float scale = 1;

  std::int64_t size() const { return inputs.shape().at(0); }
};

/// What the candidate trains on, and what it is scored with. The held-out targets stay here.
struct SupervisedTask {
  Examples train;
  Examples held_out;
  /// What it is asked at rungs: examples of neither. None: this judge cannot stop anybody early.
  std::optional<Examples> probe = std::nullopt;
};

/// How many training examples one evaluation sets aside, and which data it is scored with.
struct HoldOut {
  std::int64_t validation = 0;
  std::int64_t probe = 0;
  Split split = Split::validation;
};

/// Chooses what one evaluation uses: trains on `train` without `validation` examples of it, and is
/// scored with these for the split `validation`, with `test` for the split `sealed`. Which examples
/// are held out depends on nothing but the sizes, so that every evaluation of a task agrees.
/// Throws std::invalid_argument where `validation` does not leave at least one on both sides.
SupervisedTask split_examples(const Examples& train, const Examples& test, std::int64_t validation,
                              Split split);
/// The same, with `probe` more of the training examples for the rungs of the campaign. They are set
/// aside whether or not there are rungs: what a training is given must not depend on that.
SupervisedTask split_examples(const Examples& train, const Examples& test, const HoldOut& held_out);

/// A copy in shared memory.
Examples share_examples(const Examples& examples);

/// What `make` chose, in memory that all judges of the task on this worker share (Session::keep):
/// data are read or generated once. What `make` gives must come from split_examples, a probe also
/// from share_examples, and follow from the task, the split and `key` alone: parameters and seeds
/// belong into the key.
SupervisedTask keep_examples(Session& session, const std::string& key,
                             const std::function<SupervisedTask()>& make);

/// The data source `dataset`, a folder that read_data_set() understands, split by the parameters
/// `validation` (default: a tenth) and `probe` (default: none, and so no early stopping), and kept.
/// Throws std::runtime_error, std::invalid_argument.
SupervisedTask keep_data_set(Session& session);

/// Trains a candidate on these tensors in a process of its own, which is gone afterwards, within
/// the parameters `train_seconds` and `grace_seconds` that judge_classification() names.
Trained train_apart(Session& session, std::vector<Tensor> data, const Probe* probe = nullptr);

/// Trains a candidate on the training examples, loads the state into a fresh process and predicts
/// the held-out ones: outputs f32 [batch, classes], the largest one wins.
/// Parameters of the task:
///   train_seconds    budget of the training (default 5)
///   grace_seconds    how much later the state may arrive (default 1 + a tenth of the budget)
///   predict_seconds  for loading the state and all predictions together (default 10 s more than
///   the
///                    budget of the training)
///   predict_batch    examples in one batch (default 1000)
///   steps            read by the candidate's SDK: limit of training steps (default none)
/// Metrics: accuracy, accuracy_standard_error, parameters (Trained::stored_scalars), steps,
/// train_seconds. The digest covers the predicted classes. At rungs: accuracy on the probe.
Verdict judge_classification(Session& session, const SupervisedTask& task, std::int64_t classes);

/// The same for values: outputs f32 of the targets' shape. Metrics: rmse, mae, r_squared,
/// parameters, steps, train_seconds. The digest covers the predicted values. At rungs: rmse on the
/// probe.
Verdict judge_regression(Session& session, const SupervisedTask& task);

/// A data set from a folder: either the four IDX files of the MNIST family (plain or .gz; inputs
/// become [examples, 1, height, width], scaled to 0..1), or train_inputs.npy, train_targets.npy,
/// test_inputs.npy and test_targets.npy. Throws std::runtime_error.
struct DataSet {
  Examples train;
  Examples test;
};
DataSet read_data_set(const std::filesystem::path& folder);

}  // namespace cambrian
