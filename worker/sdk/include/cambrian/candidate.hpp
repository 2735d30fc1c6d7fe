#pragma once

// Every source of a candidate has this header without asking, parsed once for all of them: what
// plain programs commonly include is here, too.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cambrian/frame.hpp"
#include "cambrian/tensor.hpp"

namespace cambrian {

/// What a candidate process was started for.
enum class Phase {
  train,    ///< Train a model and give back its state.
  predict,  ///< Load a state and predict.
  ask,      ///< Answer the task's own questions.
};

/// What the judge said when it started this process.
struct Setup {
  Phase phase = Phase::ask;
  /// Follows from the evaluation's seed, but does not lead back to it: the judge's data stay
  /// unknown. The same seed is given to every process of one evaluation.
  std::uint64_t seed = 0;
  /// Threads that may be used.
  int threads = 1;
  /// `cpu` or `cuda:0`.
  std::string device = "cpu";
  /// The task's numbers.
  std::map<std::string, double, std::less<>> parameters;

  double parameter(std::string_view name, double otherwise) const;
};

/// Shares of a training's budget at which the model, as it is then, answers for inputs of the
/// judge.
struct Rungs {
  std::vector<double> shares;  ///< Ascending, each above 0 and below 1.
  /// Time of answers that does not count as time of the training, all of them together.
  double free_seconds = 0;
  /// The tensor `outputs`, or nothing where this training cannot answer.
  std::function<std::optional<Tensor>()> predict;
};

/// How a training is saved, and how another process goes on with it.
struct Resumable {
  /// Everything that the rest of the training depends on besides the number of steps and the time:
  /// model, optimiser, random numbers, and whatever else changes from step to step.
  std::function<std::vector<Tensor>()> save;
  /// Takes it up from the tensors of `saved`, in a process that has the same data and seed.
  std::function<void(const Message& saved)> resume;
};

/// The budget of one training, and the way to report how far it is.
///
/// The judge owns the clock that counts. This one starts when the data have arrived and is there to
/// plan with: a training that sends its state later than the budget and the judge's grace is lost.
class Training {
 public:
  /// `steps_max` 0: no limit of steps.
  Training(double budget_seconds, std::int64_t steps_max, Channel* reports);

  /// True while another step may begin: time and steps are left, and the loss was always finite.
  bool has_time() const;
  /// How much of the budget is used, 0 to 1. With a limit of steps it counts steps, which repeats
  /// exactly, else seconds. For schedules.
  double progress() const;
  /// Seconds left, not below 0.
  double seconds_left() const;
  /// Steps reported so far.
  std::int64_t steps() const { return steps_; }
  /// The task's limit of steps, or 0.
  std::int64_t steps_max() const { return steps_max_; }

  /// Counts a step. Call it once in each, with the loss where that is cheap to know. Reports leave
  /// at a bounded rate.
  void step();
  void step(double loss);
  /// The same for a tensor of one element, which is read only when it is going to be reported.
  template <class TensorLike>
    requires requires(const TensorLike& loss) { loss.template item<double>(); }
  void step(const TensorLike& loss) {
    if (report_is_due()) {
      step(loss.template item<double>());
    } else {
      step();
    }
  }
  /// True where the next step is going to be reported, so that its loss is worth computing.
  bool report_is_due() const;
  /// Answers at these shares, within step(). Called before the training begins, by the SDK.
  void answer_at(Rungs rungs) { rungs_ = std::move(rungs); }

  /// Says that this training can be interrupted and go on elsewhere, as when a worker is told to
  /// end. Call it right before the loop. Where the training was begun by another process, it calls
  /// `resume`, and steps and time count on from there; rungs that are behind it are not answered
  /// again. `save` is called within step(), which must be the last thing in the loop then. Without
  /// it, an interrupted training begins anew.
  void make_resumable(Resumable resumable);
  /// The training was begun by another process and left this. Called by the SDK, which sees to it
  /// that `saved` lives as long as the training.
  void begin_from(const Message* saved) { saved_ = saved; }

 private:
  void report(const double* loss);
  void move_start(double seconds);
  void pass_rungs(double reached);
  void answer_if_due();
  void answer(std::size_t rung);
  void save_if_asked();

  Clock::time_point start_;
  double budget_seconds_;
  std::int64_t steps_max_;
  Channel* reports_;
  std::int64_t steps_ = 0;
  Clock::time_point report_next_;
  bool diverged_ = false;
  Rungs rungs_;
  std::size_t rung_next_ = 0;
  double free_seconds_used_ = 0;
  Resumable resumable_;
  const Message* saved_ = nullptr;  ///< To be taken up.
};

/// The candidate's side of the conversation: what answers the judge. Override what the task's judge
/// asks for. An exception ends the evaluation as a crash, with its message.
class Program {
 public:
  virtual ~Program() = default;
  /// Trains on the tensors of `data`; the result is everything that predicting needs.
  virtual std::vector<Tensor> train(const Message& data, Training& training);
  /// Takes up a state that `train` of an earlier process gave.
  virtual void load(const Message& state);
  /// The tensor `outputs` for the tensor `inputs`.
  virtual Tensor predict(const Message& inputs);
  /// The same in the middle of a training, which must go on as if nothing had been asked. Nothing
  /// (the default): this candidate does not answer before its training is done.
  virtual std::optional<Tensor> probe(const Message& inputs);
  /// The answer to a question of the task.
  virtual Message answer(const Message& question);
};

/// Defined by the candidate: called once, in every process.
std::unique_ptr<Program> make_program(const Setup& setup);

/// Speaks the protocol on `judge` until it says bye or hangs up. Called by main, which the
/// libraries libcambrian_candidate.a and libcambrian_torch_candidate.a bring. Returns the exit
/// status.
int run_candidate(Channel judge);

}  // namespace cambrian
