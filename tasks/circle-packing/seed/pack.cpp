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
    const double x = (column + 0.5 + shift * (row % 2)) / columns;
    const double y = (row + 0.5) / rows;
    circles.push_back(place(x, y, 0.5 / columns, circles));
  }
  return circles;
}
// EVOLVE-BLOCK-END
