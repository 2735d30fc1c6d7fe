#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cambrian/frame.hpp"
#include "cambrian/tensor.hpp"

namespace cambrian {

/// How an evaluation ended, as the judge sees it.
enum class Outcome {
  success,     ///< The metrics count.
  crash,       ///< The candidate ended early, or reported an exception.
  timeout,     ///< It did not answer in time.
  bad_output,  ///< Its answer breaks the protocol or the task's rules.
  not_finite,  ///< Its answer holds NaN or an infinity.
};

std::string_view to_string(Outcome outcome);

/// The candidate's fault: ends the evaluation with this outcome. Judges throw it for answers that
/// break the task's rules; the session throws it for everything else. Any other exception is a bug
/// of the judge: it is logged, and the evaluation counts as our failure.
class Failure : public std::runtime_error {
 public:
  Failure(Outcome outcome, const std::string& diagnostics)
      : std::runtime_error(diagnostics), outcome_(outcome) {}
  Outcome outcome() const { return outcome_; }

 private:
  Outcome outcome_;
};

/// Which held-out data to score with.
enum class Split { validation, sealed };

using Parameters = std::map<std::string, double, std::less<>>;
using Seconds = std::chrono::duration<double>;

/// What the worker asked for.
struct Evaluation {
  /// Follows from the evaluation's seed and a secret of the service: no candidate can find it.
  std::uint64_t seed = 0;
  /// The same in every evaluation of the task by one service, and as secret: for data that are
  /// drawn once and for all. 0 outside of a service.
  std::uint64_t task_seed = 0;
  Split split = Split::validation;
  Parameters parameters;
  int threads = 1;
  std::string device = "cpu";
  /// For the whole evaluation.
  Seconds run_time{300};
  /// Shares of the training's budget at which the candidate answers for its model: ascending, each
  /// above 0 and below 1. Empty: the campaign stops nobody early.
  std::vector<double> rungs;
};

/// What the judge found. Metrics must be finite.
struct Verdict {
  std::map<std::string, double> metrics = {};
  std::string diagnostics = {};
  /// Digest of what the candidate did, equal for candidates that behave alike. Empty: unknown.
  std::string behaviour_digest = {};
};

/// What a tensor of an answer has to look like.
struct TensorSpec {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  /// NaN and infinities end the evaluation as not_finite.
  bool finite = true;
};

/// What a training gave.
struct Trained {
  std::vector<Tensor> state;
  /// Size of the state in numbers of four bytes (float32), long names included: the honest size of
  /// the model, however its numbers are stored.
  std::int64_t stored_scalars = 0;
  /// As the candidate says.
  std::int64_t steps = 0;
  /// By the judge's clock, from the data sent to the state received.
  Seconds duration{0};
};

/// Limits of one training.
struct TrainLimits {
  Seconds budget{5};
  /// Time after the budget in which the state must have arrived.
  Seconds grace{1.5};
  std::size_t state_bytes_max = std::size_t{256} << 20;
};

/// What a training is asked at the rungs of the campaign. The examples are neither trained on nor
/// scored with, and the candidate sees nothing but their inputs.
struct Probe {
  /// As `predict` would get them.
  Tensor inputs;
  TensorSpec outputs;
  /// The metric that the task names as judge.rung_metric, of outputs of the right shape that are
  /// finite. Finite itself.
  std::function<double(const Tensor& outputs)> score;
  /// What outputs are worth that are not finite: as bad as can be. Finite.
  double worst = 0;
};

class Session;

/// One candidate process. Every method throws Failure where the candidate does not do its part, and
/// waits no longer than it is told and than the evaluation lasts.
class RemoteCandidate {
 public:
  /// Sends the training data and waits for the state. Progress goes on to the worker, and so does
  /// what `probe` makes of the candidate's answers at the rungs: nobody waits for these, and they
  /// give no more time than `limits` do. `probe` may be null, and is not needed without rungs.
  ///
  /// Where another worker began the evaluation and left a checkpoint of its first training, that
  /// one goes on with the rest of its budget; a candidate that cannot take it up is replaced by a
  /// fresh one, once, for a training from the start.
  Trained train(std::vector<Tensor> data, const TrainLimits& limits, const Probe* probe = nullptr);
  void load(const std::vector<Tensor>& state, Seconds time_max);
  /// The prediction for `inputs`: a tensor `outputs` as specified.
  Tensor predict(std::vector<Tensor> inputs, TensorSpec outputs, Seconds time_max);
  /// Sends a question of the task; its type becomes `ask`. The answer holds exactly these tensors.
  Message ask(Message question, const std::vector<TensorSpec>& tensors, Seconds time_max);
  /// Says goodbye and does not wait.
  void finish();

 private:
  friend class Session;
  RemoteCandidate(Session& session, Channel channel)
      : session_(&session), channel_(std::move(channel)) {}

  void send(const Message& message, Deadline deadline);
  Message receive(std::string_view type, Deadline deadline, const ReceiveLimits& limits);
  void report_progress(const Message& progress);
  void report_rung(const Message& answer);
  Trained run_training(std::vector<Tensor> data, const TrainLimits& limits, const Probe* probe,
                       const Message* saved);
  void add_probe(const Probe& probe, const TrainLimits& limits, Message& train);
  void wait_in_training(Deadline deadline);
  bool is_about_saving(const Message& message);
  void ask_to_save();
  void hand_on(const Message& checkpoint);

  /// A training while it runs.
  struct Run {
    Clock::time_point start;
    Seconds budget{0};
    Seconds used_before{0};          ///< By an earlier process.
    bool awaits_resumption = false;  ///< It was given a checkpoint and has not taken it up yet.
    bool is_resumable = false;       ///< It says that it can be saved.
    bool is_saving = false;          ///< It was asked to.
    const Probe* probe = nullptr;    ///< Null: it is asked nothing at rungs.
    Seconds rung_time{0};            ///< Of answers, which its own clock need not count.
    std::size_t rung_next = 0;       ///< The lowest rung that may still be answered.

    Seconds used() const { return used_before + (Clock::now() - start); }
  };

  Session* session_;
  Channel channel_;
  bool has_stepped_ = false;
  Clock::time_point report_next_{};
  Run run_;
};

/// The judge's side of one evaluation. Made by main in libcambrian_judge.a.
class Session {
 public:
  /// Waits for `begin`. Throws FrameError.
  explicit Session(Channel worker);

  const Evaluation& evaluation() const { return evaluation_; }
  /// A number of the task or campaign. Throws std::invalid_argument where it is not within
  /// [minimum, maximum]: a campaign set it, so the evaluation must not count.
  double parameter(std::string_view name, double otherwise, double minimum, double maximum) const;
  std::int64_t integer_parameter(std::string_view name, std::int64_t otherwise,
                                 std::int64_t minimum, std::int64_t maximum) const;
  /// A file of the task folder: /task/NAME, or below CAMBRIAN_TASK_DIR where that is set.
  std::filesystem::path task_file(std::string_view name) const;
  /// A data source of the task: /data/NAME, or below CAMBRIAN_DATA_DIR where that is set.
  std::filesystem::path data_path(std::string_view name) const;

  /// Tensors in shared memory that all judges of this task on this worker have in common: those
  /// that an earlier one made under this key, else `make` makes them. They must follow from the key
  /// and the task alone, and lie in shared memory (make_shared_tensor), at most kDescriptorsMax of
  /// them. The worker keeps up to 1 GiB.
  std::vector<Tensor> keep(std::string_view key, const std::function<std::vector<Tensor>()>& make);

  /// A fresh candidate process that has said `ready`; an older one is ended by the worker.
  /// `phase` is train, predict or ask. Throws Failure.
  RemoteCandidate start_candidate(std::string_view phase);
  /// Kills the candidate's whole sandbox.
  void end_candidate();

  /// Sends the result. Called by main.
  void finish(const Verdict& verdict);
  void finish(const Failure& failure);

 private:
  friend class RemoteCandidate;
  void send_event(std::string_view name, JsonObject members = {});
  void send_to_worker(const Message& message);
  Deadline deadline_within(Seconds time_max) const;

  Channel worker_;
  Evaluation evaluation_;
  Deadline deadline_{};
  std::optional<Message> saved_;  ///< Of the first training, for the candidate.
};

/// Defined by the task: runs one evaluation.
Verdict judge(Session& session);

/// SHA-256 (FIPS 180-4) of what a candidate did. Written here so that a judge links with the SDK
/// alone.
class BehaviourDigest {
 public:
  template <class T>
  void add(std::span<const T> values) {
    add_bytes(std::as_bytes(values));
  }
  /// 64 lower case hex digits. The object must not be used afterwards.
  std::string finish_hex();

 private:
  void add_bytes(std::span<const std::byte> bytes);
  void add_block();

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};
  std::size_t filled_ = 0;
  std::uint64_t total_bytes_ = 0;
};

/// Mean and standard error of the mean (with n-1; 0 for fewer than two values).
struct Mean {
  double value = 0;
  double standard_error = 0;
};
Mean mean_of(std::span<const double> values);

/// Share of right answers, with the standard error of a proportion.
Mean accuracy_of(std::int64_t right, std::int64_t total);

}  // namespace cambrian
