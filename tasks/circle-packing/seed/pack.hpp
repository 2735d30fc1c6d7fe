#pragma once

#include <vector>

struct Circle {
  double x = 0;
  double y = 0;
  double r = 0;
};

/// `count` circles inside the unit square that do not overlap; takes at most `seconds`.
std::vector<Circle> pack(int count, double seconds);
