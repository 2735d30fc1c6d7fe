#pragma once

#include <vector>

/// Scores every bin into which the item fits; the item goes into the one with the highest score,
/// the first one of equals. `bins` holds the room left in each, in the order of opening; the last
/// two are unused. The result has one finite number per bin.
std::vector<double> priority(double item, const std::vector<double>& bins);
