#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/comparison/report.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"

namespace cambrian::cli {
namespace {

// Colours that the colour-blind can tell apart (Okabe and Ito, "Color universal design", 2008).
constexpr std::array<const char*, 8> kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                "#e69f00", "#56b4e9", "#7f5f00", "#000000"};
constexpr double kWidth = 860;
constexpr double kHeight = 460;
constexpr double kLeft = 74;
constexpr double kRight = 150;  ///< Room for the labels of the arms.
constexpr double kTop = 56;
constexpr double kBottom = 52;
constexpr double kRowHeight = 46;
constexpr double kLabelHeight = 16;
/// Characters of a label for which there is room.
constexpr std::size_t kCurveLabelMax = 14;
constexpr std::size_t kRowLabelMax = 30;

struct Point {
  double x = 0;
  double y = 0;
};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '"') {
      result += "&quot;";
    } else {
      result += c;
    }
  }
  return result;
}

/// Numbers to places, with ticks at round numbers.
class Axis {
 public:
  Axis(double low, double high, double begin, double end) : begin_(begin), end_(end) {
    if (!(high > low)) {
      const double slack = low == 0 ? 1 : std::abs(low) * 0.01;
      low -= slack;
      high += slack;
    }
    const double margin = (high - low) * 0.05;
    low_ = low - margin;
    high_ = high + margin;
  }
  /// From 0 exactly, and up to `high` exactly.
  static Axis from_zero(double high, double begin, double end) {
    Axis axis(0, high, begin, end);
    axis.low_ = 0;
    axis.high_ = high;
    return axis;
  }

  double at(double value) const {
    return begin_ + (value - low_) / (high_ - low_) * (end_ - begin_);
  }

  std::vector<double> ticks() const {
    constexpr double kCount = 6;
    const double raw = (high_ - low_) / kCount;
    const double power = std::pow(10, std::floor(std::log10(raw)));
    double step = power * 10;
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (power * factor >= raw) {
        step = power * factor;
        break;
      }
    }
    std::vector<double> found;
    // By a whole number: sums of steps drift.
    for (double k = std::ceil(low_ / step); k * step <= high_; ++k) found.push_back(k * step);
    return found;
  }

 private:
  double low_ = 0;
  double high_ = 1;
  double begin_;
  double end_;
};

class Svg {
 public:
  Svg(double width, double height) {
    text_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(width) + "\" height=\"" +
            number(height) + "\" viewBox=\"0 0 " + number(width) + " " + number(height) +
            "\" font-family=\"system-ui, Helvetica, Arial, sans-serif\" font-size=\"12\">\n" +
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  }

  void line(Point a, Point b, const std::string& color, double width) {
    text_ += "<line x1=\"" + number(a.x) + "\" y1=\"" + number(a.y) + "\" x2=\"" + number(b.x) +
             "\" y2=\"" + number(b.y) + "\" stroke=\"" + color + "\" stroke-width=\"" +
             number(width) + "\"/>\n";
  }
  void path(const std::vector<Point>& points, const std::string& attributes) {
    text_ += "<path d=\"";
    for (std::size_t i = 0; i < points.size(); ++i) {
      text_ += (i == 0 ? "M" : " L") + number(points[i].x) + " " + number(points[i].y);
    }
    text_ += "\" " + attributes + "/>\n";
  }
  void dot(Point at, const std::string& color) {
    text_ += "<circle cx=\"" + number(at.x) + "\" cy=\"" + number(at.y) + "\" r=\"4\" fill=\"" +
             color + "\" fill-opacity=\"0.45\"/>\n";
  }
  void text(Point at, const std::string& words, const std::string& attributes) {
    text_ += "<text x=\"" + number(at.x) + "\" y=\"" + number(at.y) + "\" " + attributes + ">" +
             escaped(words) + "</text>\n";
  }
  std::string finish() { return text_ + "</svg>\n"; }

 private:
  std::string text_;
};

constexpr const char* kGrid = "#e6e6e6";
constexpr const char* kQuiet = "fill=\"#555555\"";

std::string color_of(std::size_t arm) { return kColors[arm % kColors.size()]; }

void draw_title(Svg& svg, const Arms& arms, const std::string& what) {
  svg.text({kLeft, 24}, arms.task + ": " + what, "font-size=\"16\" font-weight=\"600\"");
  svg.text({kLeft, 42},
           arms.metric + ", " + (arms.is_maximized ? "higher" : "lower") +
               " is better; median and 95 % bootstrap interval",
           kQuiet);
}

Axis value_axis(const Comparison& comparison, const Arms& arms, double begin, double end,
                bool has_curves) {
  double low = comparison.arms.front().median;
  double high = low;
  const auto take = [&](double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  };
  for (std::size_t i = 0; i < comparison.arms.size(); ++i) {
    if (!has_curves) {
      for (const Run& run : arms.arms[i].runs) take(run.curve[comparison.evaluations - 1]);
      continue;
    }
    for (const auto& point : comparison.arms[i].curve) {
      take(point.interval.low);
      take(point.interval.high);
    }
  }
  return {low, high, begin, end};
}

/// Labels stand at the ends of their curves, pushed apart where these are close.
std::vector<double> place_labels(const std::vector<double>& wanted) {
  std::vector<std::size_t> order(wanted.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return wanted[i]; });
  std::vector<double> places = wanted;
  for (std::size_t k = 1; k < order.size(); ++k) {
    places[order[k]] = std::max(places[order[k]], places[order[k - 1]] + kLabelHeight);
  }
  return places;
}

void draw_curve(Svg& svg, const ArmSummary& arm, const std::string& color, const Axis& x,
                const Axis& y) {
  std::vector<Point> band;
  std::vector<Point> line;
  for (const auto& point : arm.curve) {
    const double place = x.at(static_cast<double>(point.evaluations));
    band.push_back({place, y.at(point.interval.high)});
    line.push_back({place, y.at(point.median)});
  }
  for (auto point = arm.curve.rbegin(); point != arm.curve.rend(); ++point) {
    band.push_back({x.at(static_cast<double>(point->evaluations)), y.at(point->interval.low)});
  }
  svg.path(band, "fill=\"" + color + "\" fill-opacity=\"0.13\" stroke=\"none\"");
  svg.path(line, "fill=\"none\" stroke=\"" + color + "\" stroke-width=\"2\"");
}

}  // namespace

std::string curves_svg(const Arms& arms, const Comparison& comparison) {
  Svg svg(kWidth, kHeight);
  draw_title(svg, arms, "best score so far");
  const double bottom = kHeight - kBottom;
  const Axis x =
      Axis::from_zero(static_cast<double>(comparison.evaluations), kLeft, kWidth - kRight);
  const Axis y = value_axis(comparison, arms, bottom, kTop, true);
  for (const double tick : y.ticks()) {
    svg.line({kLeft, y.at(tick)}, {kWidth - kRight, y.at(tick)}, kGrid, 1);
    svg.text({kLeft - 8, y.at(tick) + 4}, format_number(tick),
             std::string(kQuiet) + " text-anchor=\"end\"");
  }
  for (const double tick : x.ticks()) {
    svg.text({x.at(tick), bottom + 18}, format_number(tick),
             std::string(kQuiet) + " text-anchor=\"middle\"");
  }
  svg.line({kLeft, bottom}, {kWidth - kRight, bottom}, "#999999", 1);
  svg.text({(kLeft + kWidth - kRight) / 2, bottom + 38}, "evaluations",
           std::string(kQuiet) + " text-anchor=\"middle\"");
  std::vector<double> ends;
  for (std::size_t i = 0; i < arms.arms.size(); ++i) {
    draw_curve(svg, comparison.arms[i], color_of(i), x, y);
    ends.push_back(y.at(comparison.arms[i].curve.back().median) + 4);
  }
  const std::vector<double> places = place_labels(ends);
  for (std::size_t i = 0; i < arms.arms.size(); ++i) {
    svg.text({kWidth - kRight + 8, places[i]},
             cut_to_width(arms.arms[i].label, kCurveLabelMax) + " " +
                 format_number(comparison.arms[i].median),
             "font-weight=\"600\" fill=\"" + color_of(i) + "\"");
  }
  return svg.finish();
}

std::string finals_svg(const Arms& arms, const Comparison& comparison) {
  const double bottom = kTop + kRowHeight * static_cast<double>(arms.arms.size());
  Svg svg(kWidth, bottom + kBottom);
  draw_title(svg, arms,
             "best score after " + std::to_string(comparison.evaluations) + " evaluations");
  const Axis x = value_axis(comparison, arms, kLeft + kRight, kWidth - kLeft, false);
  for (const double tick : x.ticks()) {
    svg.line({x.at(tick), kTop}, {x.at(tick), bottom}, kGrid, 1);
    svg.text({x.at(tick), bottom + 18}, format_number(tick),
             std::string(kQuiet) + " text-anchor=\"middle\"");
  }
  for (std::size_t i = 0; i < arms.arms.size(); ++i) {
    const double y = kTop + kRowHeight * (static_cast<double>(i) + 0.5);
    const ArmSummary& arm = comparison.arms[i];
    svg.text({kLeft + kRight - 12, y + 4}, cut_to_width(arms.arms[i].label, kRowLabelMax),
             "font-weight=\"600\" text-anchor=\"end\" fill=\"" + color_of(i) + "\"");
    if (arm.interval) {
      svg.line({x.at(arm.interval->low), y}, {x.at(arm.interval->high), y}, color_of(i), 3);
    }
    svg.line({x.at(arm.median), y - 11}, {x.at(arm.median), y + 11}, color_of(i), 3);
    for (std::size_t k = 0; k < arms.arms[i].runs.size(); ++k) {
      // Five heights in turn, so that equal scores do not hide each other.
      const double height = 3.5 * (static_cast<double>(k % 5) - 2);
      svg.dot({x.at(arms.arms[i].runs[k].curve[comparison.evaluations - 1]), y + height},
              color_of(i));
    }
  }
  return svg.finish();
}

}  // namespace cambrian::cli
