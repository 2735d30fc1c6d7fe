#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cambrian/judge.hpp"

namespace cambrian {

/// A text to learn and one to be judged by, as symbols from 0 on.
struct LanguageTask {
  std::span<const std::uint8_t> train;
  std::span<const std::uint8_t> held_out;
  std::int64_t symbols = 256;  ///< 2 to 256; all symbols of both texts are smaller.
};

/// Trains a candidate on the tensor `inputs` (u8, the training text), loads the state into a fresh
/// process, and lets it guess the held-out text, in many streams at once: it gets one symbol of
/// each (`inputs`, u8 [streams]) and answers with numbers for the next one (`outputs`, f32
/// [streams, symbols]), of which the softmax is taken here. It gets that next symbol after its
/// answer, so it cannot have seen what it is asked for. The streams do not overlap, and begin
/// together, with the process: a model that has a memory begins with an empty one and keeps it from
/// call to call.
///
/// Parameters of the task, beside those of judge_classification() for the training:
///   streams        parts of the held-out text that are read side by side (default 64)
///   stream_length  guesses in each (default 256)
///   predict_seconds  for loading the state and all answers together (default 30)
/// Metrics: bits_per_symbol (smaller is better; log2(symbols) without any knowledge),
/// bits_per_symbol_standard_error (over the streams), parameters, steps, train_seconds. The digest
/// covers the answers.
/// Throws std::invalid_argument where the held-out text has not streams * (stream_length + 1)
/// symbols, or a symbol is too large.
Verdict judge_language_model(Session& session, const LanguageTask& task);

}  // namespace cambrian
