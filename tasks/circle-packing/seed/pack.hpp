#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

struct Circle {
  double x = 0;
  double y = 0;
  double r = 0;
};

/// The circle at (x, y), moved into the square, with the largest radius up to `radius` that reaches
/// neither over the border nor into the circles that are `placed`.
inline Circle place(double x, double y, double radius, const std::vector<Circle>& placed) {
  const auto inside = [](double value) {
    return std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : 0.5;
  };
  Circle circle{inside(x), inside(y), std::isfinite(radius) ? radius : 1.0};
  circle.r = std::min({circle.r, circle.x, circle.y, 1 - circle.x, 1 - circle.y});
  for (const Circle& other : placed) {
    circle.r = std::min(circle.r, std::hypot(circle.x - other.x, circle.y - other.y) - other.r);
  }
  circle.r = std::max(0.0, circle.r - 1e-12);
  return circle;
}

/// `count` circles inside the unit square that do not overlap; takes at most `seconds`.
std::vector<Circle> pack(int count, double seconds);
