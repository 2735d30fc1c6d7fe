// The judge of circle packing. It has no tolerance: coordinates are put on a grid of 2^-60, and
// from there on every comparison is one of whole numbers, without any rounding.
#include <algorithm>
#include <cambrian/construction.hpp>
#include <cmath>

namespace {

using cambrian::Failure;
using cambrian::Outcome;

__extension__ using Wide = __int128;

// Centres go to the nearest grid point and radii down, so that nobody gains by it. The packing on
// the grid is what is judged: its sum counts.
constexpr double kGrid = static_cast<double>(std::int64_t{1} << 60);
constexpr std::int64_t kOne = std::int64_t{1} << 60;

struct Circle {
  std::int64_t x = 0;
  std::int64_t y = 0;
  std::int64_t r = 0;
};

[[noreturn]] void refuse(const std::string& reason) { throw Failure(Outcome::bad_output, reason); }

std::int64_t to_grid(double value, bool is_radius, std::size_t index) {
  // Also what makes the conversion safe. The product is exact: the factor is a power of two.
  if (value < 0 || value > 1) refuse("circle " + std::to_string(index) + " is not in the square");
  return static_cast<std::int64_t>(is_radius ? std::floor(value * kGrid)
                                             : std::nearbyint(value * kGrid));
}

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

void check_inside(const Circle& circle, std::size_t index) {
  const std::int64_t room =
      std::min(std::min(circle.x, kOne - circle.x), std::min(circle.y, kOne - circle.y));
  if (circle.r <= room) return;
  refuse("circle " + std::to_string(index) + " reaches over the border by " +
         scientific(static_cast<double>(circle.r - room) / kGrid));
}

void check_apart(const std::vector<Circle>& circles, std::size_t i, std::size_t k) {
  // Differences stay below 2^60 and sums of radii below 2^61, so squares fit into 128 bits.
  const Wide dx = circles[i].x - circles[k].x;
  const Wide dy = circles[i].y - circles[k].y;
  const Wide reach = Wide{circles[i].r} + circles[k].r;
  if (dx * dx + dy * dy >= reach * reach) return;
  const double distance = std::hypot(static_cast<double>(dx), static_cast<double>(dy));
  refuse("circles " + std::to_string(k) + " and " + std::to_string(i) + " overlap by about " +
         scientific((static_cast<double>(reach) - distance) / kGrid));
}

std::vector<Circle> read_circles(std::span<const double> values) {
  std::vector<Circle> circles;
  for (std::size_t i = 0; i < values.size() / 3; ++i) {
    circles.push_back({to_grid(values[3 * i], false, i), to_grid(values[3 * i + 1], false, i),
                       to_grid(values[3 * i + 2], true, i)});
  }
  return circles;
}

double sum_of_radii(const cambrian::Message& answer) {
  const std::vector<Circle> circles = read_circles(answer.tensor("circles").values<double>());
  for (std::size_t i = 0; i < circles.size(); ++i) {
    check_inside(circles[i], i);
    for (std::size_t k = 0; k < i; ++k) check_apart(circles, i, k);
  }
  Wide total = 0;
  for (const Circle& circle : circles) total += circle.r;
  return static_cast<double>(total) / kGrid;
}

}  // namespace

cambrian::Verdict cambrian::judge(Session& session) {
  const std::int64_t count = session.integer_parameter("circles", 26, 1, 1000);
  return judge_construction(session, {.question = {{"circles", count}},
                                      .answer = {{"circles", DType::f64, {count, 3}}},
                                      .verify = sum_of_radii,
                                      .metric = "sum_of_radii"});
}
