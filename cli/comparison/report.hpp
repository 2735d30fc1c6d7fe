#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/comparison/comparison.hpp"

/// A comparison as text, JSON and SVG: pure.
namespace cambrian::cli {

/// Tables of the arms and of the pairs, with the notes below.
std::string comparison_text(const Arms& arms, const Comparison& comparison, bool has_color);

/// Everything, the runs with their curves included: `read_arms` takes it back.
nlohmann::ordered_json comparison_json(const Arms& arms, const Comparison& comparison,
                                       const CompareOptions& options);

/// The arms of a JSON text as `comparison_json` writes it; of a run only `best` (a single score) or
/// `curve` is needed. Errors: `invalid_argument`.
Result<Arms> read_arms(const std::string& json);

/// Best score so far over evaluations: median and 95 % interval of each arm. A whole SVG document
/// that needs no font, script or style from outside.
std::string curves_svg(const Arms& arms, const Comparison& comparison);

/// Each run's last score, with median and 95 % interval of each arm.
std::string finals_svg(const Arms& arms, const Comparison& comparison);

}  // namespace cambrian::cli
