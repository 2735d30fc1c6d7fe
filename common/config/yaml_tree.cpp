#include "common/config/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <optional>
#include <sstream>

#include "common/base/utf8.hpp"

namespace cambrian::config {
namespace {

using YAML::anchor_t;
using YAML::Mark;

constexpr const char* kNotText = "not UTF-8, or with a NUL in it";
constexpr const char* kSaveAsText = "save the file as UTF-8";

/// The first place that is no text. Looked for before yaml-cpp sees it, which would take some bytes
/// for another encoding and convert what follows.
std::optional<Problem> find_foreign_byte(std::string_view text) {
  Place place{1, 1, 1};
  while (!text.empty()) {
    const std::size_t length = utf8_sequence_length(text);
    if (length == 0 || text[0] == '\0') return Problem{"", place, kNotText, kSaveAsText};
    const bool is_line_end = text[0] == '\n';
    place.line += is_line_end ? 1 : 0;
    place.column = is_line_end ? 1 : place.column + static_cast<int>(length);
    text.remove_prefix(length);
  }
  return std::nullopt;
}

/// Thrown through yaml-cpp when a limit is hit: the parser has no other way to stop.
struct LimitReached {
  Problem problem;
};

/// How many bytes of the line the caret underlines: the word, or the quoted text.
int scalar_width(std::string_view text, std::size_t position, std::size_t value_size) {
  const std::string_view rest = text.substr(std::min(position, text.size()));
  const std::size_t line_end = std::min(rest.find('\n'), rest.size());
  std::size_t width = std::min(value_size, line_end);
  if (!rest.empty() && (rest[0] == '"' || rest[0] == '\'')) {
    const std::size_t close = rest.find(rest[0], 1);
    width = close < line_end ? close + 1 : line_end;
  }
  return static_cast<int>(std::max<std::size_t>(width, 1));
}

/// False for a quoted scalar without its closing quote: yaml-cpp takes the rest of the file then.
bool is_closed(std::string_view text, std::size_t position) {
  const std::string_view rest = text.substr(std::min(position, text.size()));
  if (rest.empty() || (rest[0] != '"' && rest[0] != '\'')) return true;
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[0] == '"' && rest[i] == '\\') {
      ++i;
    } else if (rest[i] == rest[0]) {
      if (rest[0] == '"' || i + 1 >= rest.size() || rest[i + 1] != '\'') return true;
      ++i;
    }
  }
  return false;
}

/// Builds the tree from yaml-cpp's events. Its own node type would expand aliases and drop
/// duplicate keys before we saw them.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(std::string_view text) : text_(text) {}

  void OnDocumentStart(const Mark& mark) override {
    if (documents_++ > 0) {
      problems_.push_back({"", place_of(mark, 1), "a second document in the file",
                           "remove the line with --- and what follows it"});
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const Mark& mark, anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add({.kind = YamlNode::Kind::null, .place = place_of(mark, 1), .entries = {}});
  }

  void OnAlias(const Mark& mark, anchor_t) override {
    problems_.push_back(
        {"", place_of(mark, 1), "aliases are not accepted", "write the value out here"});
    add({.kind = YamlNode::Kind::null, .place = place_of(mark, 1), .entries = {}});
  }

  void OnScalar(const Mark& mark, const std::string& tag, anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (tag == "!" && !is_closed(text_, position_of(mark))) {
      problems_.push_back({"", place_of(mark, 1), "a quote is never closed", ""});
    }
    if (value.find('\0') != std::string::npos) {
      problems_.push_back({"", place_of(mark, 1), kNotText, kSaveAsText});
    }
    const int width = scalar_width(text_, position_of(mark), value.size());
    add({.kind = YamlNode::Kind::scalar,
         .place = place_of(mark, width),
         .scalar = value,
         .entries = {}});
  }

  void OnSequenceStart(const Mark& mark, const std::string& tag, anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const Mark& mark, const std::string& tag, anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

  int documents() const { return documents_; }

  YamlTree take() { return {std::move(root_), std::move(problems_)}; }

 private:
  /// A collection that is being filled. In a map, `key` waits for its value.
  struct Level {
    YamlNode node;
    std::optional<YamlNode> key;
  };

  static Place place_of(const Mark& mark, int width) {
    return {mark.line + 1, mark.column + 1, width};
  }

  static std::size_t position_of(const Mark& mark) {
    return static_cast<std::size_t>(std::max(mark.pos, 0));
  }

  void refuse_anchor(const Mark& mark, anchor_t anchor) {
    if (anchor == YAML::NullAnchor) return;
    problems_.push_back(
        {"", place_of(mark, 1), "anchors are not accepted", "remove the word that begins with &"});
  }

  /// "?" and "!" are yaml-cpp's way to say plain and quoted.
  void refuse_tag(const Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    problems_.push_back({"", place_of(mark, 1), "tags are not accepted: " + tag,
                         "remove it: the field decides how its value is read"});
  }

  void open(YamlNode::Kind kind, const Mark& mark, const std::string& tag, anchor_t anchor) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (levels_.size() >= kDepthMax) {
      throw LimitReached{{"", place_of(mark, 1),
                          "nested more than " + std::to_string(kDepthMax) + " levels deep", ""}};
    }
    levels_.push_back({{.kind = kind, .place = place_of(mark, 1), .entries = {}}, std::nullopt});
  }

  void close() {
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node));
  }

  void add(YamlNode node) {
    if (++nodes_ > kNodesMax) {
      throw LimitReached{
          {"", node.place, "more than " + std::to_string(kNodesMax) + " values in the file", ""}};
    }
    if (levels_.empty()) {
      if (documents_ <= 1) root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == YamlNode::Kind::sequence) {
      level.node.items.push_back(std::move(node));
    } else if (!level.key) {
      level.key = std::move(node);
    } else {
      level.node.entries.push_back({std::move(*level.key), std::move(node)});
      level.key.reset();
    }
  }

  std::string_view text_;
  std::vector<Level> levels_;
  YamlNode root_;
  std::vector<Problem> problems_;
  int documents_ = 0;
  int nodes_ = 0;
};

std::string_view line_of(std::string_view text, int line) {
  for (; line > 0 && !text.empty(); --line) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return text.substr(0, text.find('\n'));
}

/// yaml-cpp's messages in words that say what to do.
Problem explain(std::string_view text, const YAML::Exception& error) {
  Problem problem{"", {error.mark.line + 1, error.mark.column + 1, 1}, error.msg, ""};
  const std::string_view line = line_of(text, error.mark.line);
  const std::string_view indentation = line.substr(0, line.find_first_not_of(" \t"));
  const auto mentions = [&](std::string_view words) {
    return error.msg.find(words) != std::string::npos;
  };
  if (indentation.find('\t') != std::string_view::npos) {
    problem = {"",
               {error.mark.line + 1, 1, static_cast<int>(indentation.size())},
               "a tab in the indentation",
               "use spaces"};
  } else if (mentions("end of sequence flow")) {
    problem.message = "a [ is never closed";
  } else if (mentions("end of map flow")) {
    problem.message = "a { is never closed";
  } else if (mentions("illegal map value")) {
    problem.message = "a name with a value cannot stand here";
    problem.fix = "check the indentation, or put quotes around a text with \": \" in it";
  } else if (mentions("end of map not found")) {
    problem.message = "this line does not fit the indentation above it";
  }
  return problem;
}

}  // namespace

YamlTree parse_yaml(std::string_view text) {
  if (text.size() > kFileBytesMax) {
    return {{}, {{"", {}, "larger than " + std::to_string(kFileBytesMax) + " bytes", ""}}};
  }
  if (auto problem = find_foreign_byte(text)) return {{}, {std::move(*problem)}};
  Builder builder(text);
  std::istringstream input{std::string(text)};
  std::optional<Problem> fatal;
  try {
    YAML::Parser parser(input);
    // The second document is parsed only to find out that it is there.
    while (builder.documents() < 2 && parser.HandleNextDocument(builder)) {
    }
  } catch (const LimitReached& reached) {
    fatal = reached.problem;
  } catch (const YAML::Exception& error) {
    fatal = explain(text, error);
  }
  YamlTree tree = builder.take();
  if (fatal) tree.problems.push_back(std::move(*fatal));
  return tree;
}

}  // namespace cambrian::config
