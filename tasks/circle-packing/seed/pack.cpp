#include "pack.hpp"

#include <algorithm>
#include <cmath>

// EVOLVE-BLOCK-START pack
std::vector<Circle> pack(int count, double seconds) {
  (void)seconds;
  const int columns = 6;
  const int rows = (count + columns - 1) / columns;
  const double shift = 0.0;
  std::vector<Circle> circles;
  for (int i = 0; i < count; ++i) {
    const int row = i / columns;
    const int column = i % columns;
    Circle circle;
    circle.x = (column + 0.5 + shift * (row % 2)) / columns;
    circle.y = (row + 0.5) / rows;
    // As large as the border and the circles before it allow.
    circle.r = std::min({circle.x, circle.y, 1 - circle.x, 1 - circle.y, 0.5 / columns});
    for (const Circle& other : circles) {
      const double distance = std::hypot(circle.x - other.x, circle.y - other.y);
      circle.r = std::min(circle.r, distance - other.r);
    }
    circle.r = std::max(0.0, circle.r - 1e-12);
    circles.push_back(circle);
  }
  return circles;
}
// EVOLVE-BLOCK-END
