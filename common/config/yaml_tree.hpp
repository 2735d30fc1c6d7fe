#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config/problem.hpp"

namespace cambrian::config {

/// Limits of a file that a person writes.
inline constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;
inline constexpr int kNodesMax = 100'000;
inline constexpr int kDepthMax = 64;

struct YamlEntry;

/// One node of a YAML document, with its place.
struct YamlNode {
  enum class Kind { null, scalar, sequence, map };
  Kind kind = Kind::null;
  Place place{};
  std::string scalar{};
  std::vector<YamlNode> items{};   ///< Of a sequence.
  std::vector<YamlEntry> entries;  ///< Of a map, in the file's order.
};

/// One line of a map. Not a std::pair: that must not be named before its parts are complete.
struct YamlEntry {
  YamlNode key;
  YamlNode value;
};

/// A document, or what is wrong with it.
struct YamlTree {
  YamlNode root;
  std::vector<Problem> problems;
};

/// Parses one YAML or JSON document. Anchors, aliases, tags, a second document and anything above
/// the limits are problems: what a reader cannot see at a glance has no place in these files.
/// Duplicate keys are kept, both, for the caller to report.
YamlTree parse_yaml(std::string_view text);

}  // namespace cambrian::config
