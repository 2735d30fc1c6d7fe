#include "cambrian/language_model.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "cambrian/supervised.hpp"

namespace cambrian {
namespace {

void check_symbols(std::span<const std::uint8_t> text, std::int64_t symbols) {
  if (std::ranges::any_of(text, [symbols](std::uint8_t symbol) { return symbol >= symbols; })) {
    throw std::invalid_argument("symbol out of range: symbols=" + std::to_string(symbols));
  }
}

// Bits that a symbol costs which these numbers were given for: minus the logarithm of its share in
// the softmax. Finite, whatever finite numbers they are.
double bits_of(std::span<const float> logits, std::uint8_t symbol) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  // The difference first: beside a number like 1e20 the logarithm would be lost, and all be free.
  return (std::log(sum) + (largest - double{logits[symbol]})) / std::log(2.0);
}

/// Parts of a text that are read side by side, each from its own place on.
class Streams {
 public:
  Streams(const Session& session, std::span<const std::uint8_t> text)
      : text_(text),
        count_(static_cast<std::size_t>(session.integer_parameter("streams", 64, 1, 4096))),
        length_(
            static_cast<std::size_t>(session.integer_parameter("stream_length", 256, 1, 1 << 20))) {
    if (text.size() < count_ * (length_ + 1)) {
      throw std::invalid_argument(
          "the held-out text is too short: symbols=" + std::to_string(text.size()) +
          " needed=" + std::to_string(count_ * (length_ + 1)));
    }
  }

  std::size_t count() const { return count_; }
  std::size_t length() const { return length_; }
  std::uint8_t symbol(std::size_t stream, std::size_t step) const {
    return text_[stream * (text_.size() / count_) + step];
  }
  Tensor inputs(std::size_t step) const {
    std::vector<std::uint8_t> symbols(count_);
    for (std::size_t i = 0; i < count_; ++i) symbols[i] = symbol(i, step);
    return make_tensor("inputs", {static_cast<std::int64_t>(count_)}, symbols);
  }

 private:
  std::span<const std::uint8_t> text_;
  std::size_t count_;
  std::size_t length_;
};

// Mean bits of each stream.
std::vector<double> guess(RemoteCandidate& candidate, const Streams& streams, std::int64_t symbols,
                          Deadline end, BehaviourDigest& digest) {
  const TensorSpec outputs{
      "outputs", DType::f32, {static_cast<std::int64_t>(streams.count()), symbols}};
  const auto width = static_cast<std::size_t>(symbols);
  std::vector<double> bits(streams.count(), 0.0);
  for (std::size_t step = 0; step < streams.length(); ++step) {
    const Tensor answer = candidate.predict({streams.inputs(step)}, outputs, end - Clock::now());
    const auto logits = answer.values<float>();
    for (std::size_t i = 0; i < streams.count(); ++i) {
      bits[i] += bits_of(logits.subspan(i * width, width), streams.symbol(i, step + 1)) /
                 static_cast<double>(streams.length());
    }
    digest.add(logits);
  }
  return bits;
}

}  // namespace

Verdict judge_language_model(Session& session, const LanguageTask& task) {
  check_symbols(task.train, task.symbols);
  check_symbols(task.held_out, task.symbols);
  const Streams streams(session, task.held_out);
  const Seconds predict_time(session.parameter("predict_seconds", 30, 0.01, 86400));
  const Tensor text = make_shared_tensor(
      "inputs", DType::u8, {static_cast<std::int64_t>(task.train.size())},
      [&](std::byte* out) { std::ranges::copy(std::as_bytes(task.train), out); });
  const Trained trained = train_apart(session, {text});
  RemoteCandidate predictor = session.start_candidate("predict");
  // One time for everything: with so much for each answer, a candidate could go on training here.
  const Deadline end = Clock::now() + std::chrono::duration_cast<Clock::duration>(predict_time);
  predictor.load(trained.state, end - Clock::now());
  BehaviourDigest digest;
  const std::vector<double> bits = guess(predictor, streams, task.symbols, end, digest);
  predictor.finish();
  const Mean mean = mean_of(bits);
  return {.metrics = {{"bits_per_symbol", mean.value},
                      {"bits_per_symbol_standard_error", mean.standard_error},
                      {"parameters", static_cast<double>(trained.stored_scalars)},
                      {"steps", static_cast<double>(trained.steps)},
                      {"train_seconds", trained.duration.count()}},
          .behaviour_digest = digest.finish_hex()};
}

}  // namespace cambrian
