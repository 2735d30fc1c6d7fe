// The judge of MNIST-1D: makes the data by the published procedure (Greydanus and Kobak, "Scaling
// down deep learning with MNIST-1D", arXiv 2011.14439, section 2 and its code) from our own random
// numbers, and scores a classifier.
#include <algorithm>
#include <array>
#include <cambrian/rng.hpp>
#include <cambrian/supervised.hpp>
#include <cmath>
#include <numeric>

namespace {

using Signal = std::vector<double>;

constexpr std::size_t kClasses = 10;
constexpr std::size_t kTemplateLength = 12;
constexpr std::size_t kPaddingMin = 36;
constexpr std::size_t kPaddingMax = 60;
constexpr std::size_t kTranslationMax = 48;
constexpr double kScale = 0.4;
constexpr double kCorrelatedNoise = 0.25;
constexpr double kCorrelatedNoiseWidth = 2;
constexpr double kNoise = 0.02;
constexpr double kShear = 0.75;
constexpr std::size_t kLength = 40;
constexpr std::size_t kExamples = 5000;
constexpr std::size_t kTrainExamples = 4000;
constexpr std::size_t kProbeExamples = 500;
// The data are the same in every evaluation of a service. Others have other data: a candidate that
// brought this procedure along could draw them, too.
constexpr std::uint64_t kDataSeed = 42;

constexpr std::array<std::array<double, kTemplateLength>, kClasses> kTemplates = {{
    {5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5},
    {5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5},
    {5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5},
    {5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5},
    {5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5},
    {5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5},
    {5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5},
    {5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5},
    {5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5},
    {5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5},
}};

double mean_of(const Signal& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation_of(const Signal& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// The template of a class with mean 0 and deviation 1, moved so that it begins at 0, and a sixth of
// that.
Signal make_template(std::size_t label) {
  Signal signal(kTemplates[label].begin(), kTemplates[label].end());
  const double mean = mean_of(signal);
  const double deviation = deviation_of(signal);
  for (double& value : signal) value = (value - mean) / deviation;
  const double start = signal.front();
  for (double& value : signal) value = (value - start) / 6;
  return signal;
}

// Linear interpolation to `length` points over the same span.
Signal resample(const Signal& signal, std::size_t length) {
  Signal out(length);
  for (std::size_t i = 0; i < length; ++i) {
    const double position = static_cast<double>(i) * static_cast<double>(signal.size() - 1) /
                            static_cast<double>(length - 1);
    const auto left = std::min(static_cast<std::size_t>(position), signal.size() - 2);
    const double share = position - static_cast<double>(left);
    out[i] = signal[left] * (1 - share) + signal[left + 1] * share;
  }
  return out;
}

// White noise smoothed by a Gaussian that is cut off at four deviations; beyond the ends the noise
// is mirrored.
Signal make_correlated_noise(std::size_t length, cambrian::Rng& rng) {
  constexpr int kRadius = static_cast<int>(4 * kCorrelatedNoiseWidth + 0.5);
  Signal white(length);
  for (double& value : white) value = kCorrelatedNoise * rng.normal();
  const auto at = [&](int i) {
    const int last = static_cast<int>(length) - 1;
    if (i < 0) i = -i - 1;
    if (i > last) i = 2 * last - i + 1;
    return white[static_cast<std::size_t>(i)];
  };
  Signal out(length);
  for (int i = 0; i < static_cast<int>(length); ++i) {
    double sum = 0;
    double weights = 0;
    for (int k = -kRadius; k <= kRadius; ++k) {
      const double weight =
          std::exp(-0.5 * k * k / (kCorrelatedNoiseWidth * kCorrelatedNoiseWidth));
      weights += weight;
      sum += weight * at(i + k);
    }
    out[static_cast<std::size_t>(i)] = sum / weights;
  }
  return out;
}

// One example: pad, dilate, scale, translate, add noise, shear, subsample.
Signal make_example(Signal signal, cambrian::Rng& rng) {
  // A trace above zero tells the signal from the padding, whose noise is correlated.
  for (double& value : signal) value += 1e-8;
  signal.resize(signal.size() + kPaddingMin + rng.below(kPaddingMax - kPaddingMin + 1), 0);
  signal = resample(signal, kTemplateLength + kPaddingMax);
  const double scale = 1 + kScale * (rng.uniform() - 0.5);
  for (double& value : signal) value *= scale;
  const auto shift = static_cast<std::ptrdiff_t>(rng.below(kTranslationMax));
  std::rotate(signal.begin(), signal.end() - shift, signal.end());

  const Signal background = make_correlated_noise(signal.size(), rng);
  const double shear = kShear * (rng.uniform() - 0.5);
  for (std::size_t i = 0; i < signal.size(); ++i) {
    if (signal[i] == 0) signal[i] = background[i];
    signal[i] += kNoise * rng.normal();
    signal[i] -= shear * (static_cast<double>(i) / static_cast<double>(signal.size() - 1) - 0.5);
  }
  return resample(signal, kLength);
}

cambrian::Examples take(const std::vector<Signal>& signals, const std::vector<std::size_t>& rows) {
  std::vector<float> inputs;
  std::vector<std::int64_t> targets;
  for (const std::size_t row : rows) {
    for (const double value : signals[row]) inputs.push_back(static_cast<float>(value));
    targets.push_back(static_cast<std::int64_t>(row % kClasses));
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  cambrian::Examples examples;
  examples.inputs = cambrian::make_tensor("inputs", {count, kLength}, inputs);
  examples.targets = cambrian::make_tensor("targets", {count}, targets);
  return examples;
}

std::vector<Signal> make_signals(std::size_t count, cambrian::Rng& rng) {
  std::vector<Signal> signals;
  for (std::size_t i = 0; i < count; ++i) {
    signals.push_back(make_example(make_template(i % kClasses), rng));
  }
  return signals;
}

// The published data, and as many examples as rungs need: by the same procedure and from numbers of
// their own, so that the published ones stay what they are.
struct Drawn {
  cambrian::DataSet published;
  cambrian::Examples probe;
};

Drawn make_data(std::uint64_t task_seed) {
  cambrian::Rng rng(kDataSeed ^ task_seed);
  cambrian::Rng probe_rng = rng.split("probe");
  std::vector<Signal> signals = make_signals(kExamples, rng);
  std::vector<Signal> probe = make_signals(kProbeExamples, probe_rng);
  Signal all;
  for (const Signal& signal : signals) all.insert(all.end(), signal.begin(), signal.end());
  const double mean = mean_of(all);
  const double deviation = deviation_of(all);
  for (std::vector<Signal>* made : {&signals, &probe}) {
    for (Signal& signal : *made) {
      for (double& value : signal) value = (value - mean) / deviation;
    }
  }
  std::vector<std::size_t> rows(kExamples);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  rng.shuffle(rows);
  const auto middle = rows.begin() + kTrainExamples;
  std::vector<std::size_t> probe_rows(kProbeExamples);
  std::iota(probe_rows.begin(), probe_rows.end(), std::size_t{0});
  return {{take(signals, {rows.begin(), middle}), take(signals, {middle, rows.end()})},
          take(probe, probe_rows)};
}

}  // namespace

cambrian::Verdict cambrian::judge(Session& session) {
  const auto seed = session.evaluation().task_seed;
  const auto validation = session.integer_parameter("validation", 500, 1, kTrainExamples - 1);
  const std::string key =
      "seed=" + std::to_string(seed) + " validation=" + std::to_string(validation);
  const auto draw = [&] {
    const Drawn data = make_data(seed);
    SupervisedTask task = split_examples(data.published.train, data.published.test, validation,
                                         session.evaluation().split);
    task.probe = share_examples(data.probe);
    return task;
  };
  return judge_classification(session, keep_examples(session, key, draw), kClasses);
}
