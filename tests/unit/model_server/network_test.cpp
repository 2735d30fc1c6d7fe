#include <catch2/catch_test_macros.hpp>
#include <set>

#include "codegen-client/model_server/mutation/layer.hpp"
#include "codegen-client/model_server/mutation/mutator.hpp"
#include "codegen-client/model_server/mutation/number_role.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"
#include "codegen-client/model_server/mutation/training_site.hpp"
#include "tests/unit/model_server/sample_programs.hpp"

namespace cambrian::codemodel {
namespace {

Code torch_code() { return Code::parse(std::string(samples::kTorch), Language::cpp).value(); }
Code python_code() {
  return Code::parse(std::string(samples::kPythonTraining), Language::python).value();
}

TEST_CASE("find_layer_lists: reads the layers and the shape of the input", "[unit][model_server]") {
  const auto lists = find_layer_lists(torch_code());
  REQUIRE(lists.size() == 1);
  CHECK(lists[0].input == Shape{1, 28, 28});
  CHECK(lists[0].prefix == "nn::");
  REQUIRE(lists[0].layers.size() == 4);
  CHECK(lists[0].layers[1].arguments == std::vector<std::string>{"784", "10"});
  const auto python = find_layer_lists(python_code());
  REQUIRE(python.size() == 1);
  CHECK(python[0].input == Shape{8});
}

TEST_CASE("mend_shapes: sizes follow the layers before them", "[unit][model_server]") {
  std::vector<Layer> layers{make_convolution({1, 28, 28}, 8, 5, 2),
                            make_layer("BatchNorm1d", {"3"}),
                            make_layer("MaxPool2d", {"2"}),
                            make_layer("Flatten"),
                            make_linear(16),
                            make_layer("LayerNorm", {"{9}"}),
                            make_linear(10)};
  const auto cost = mend_shapes(layers, {1, 28, 28});
  REQUIRE(cost);
  CHECK(cost->output == Shape{10});
  CHECK(cost->multiplications == 5 * 5 * 8 * 14 * 14 + 8 * 7 * 7 * 16 + 16 * 10);
  CHECK(layers[1].name == "BatchNorm2d");
  CHECK(layers[1].arguments[0] == "8");
  CHECK(layers[4].arguments[0] == "392");
  CHECK(layers[5].arguments[0] == "{16}");
}

TEST_CASE("mend_shapes: refuses sizes that no network has", "[unit][model_server]") {
  std::vector<Layer> layers = {make_layer("Flatten"), make_linear(10)};
  // Their product would not fit into 64 bits; a prompt may say so.
  CHECK_FALSE(mend_shapes(layers, {std::int64_t{1} << 40, std::int64_t{1} << 40}));
  CHECK_FALSE(mend_shapes(layers, {std::int64_t{1} << 20, 1 << 20, 1 << 20, 1 << 20}));
  CHECK(mend_shapes(layers, {1 << 10, 1 << 10}));
}

TEST_CASE("mend_shapes: refuses what cannot fit", "[unit][model_server]") {
  std::vector<Layer> flat{make_convolution({1, 28, 28}, 8, 3, 1)};
  CHECK_FALSE(mend_shapes(flat, {784}));
  std::vector<Layer> large{make_layer("MaxPool2d", {"30"})};
  CHECK_FALSE(mend_shapes(large, {1, 28, 28}));
  std::vector<Layer> unknown{make_layer("Transformer")};
  CHECK_FALSE(mend_shapes(unknown, {10}));
  std::vector<Layer> picture{make_linear(3)};
  CHECK_FALSE(mend_shapes(picture, {1, 28, 28}));
}

/// Random operators one after the other; after each, the shapes of every list of layers fit.
void run_chain(Code code, Rng& rng, std::set<std::string_view>& applied) {
  const bool has_training = find_optimizer(code).has_value();
  for (int step = 0; step < 16; ++step) {
    const auto table = operator_table();
    const Operator& chosen = table[rng.below(table.size())];
    if (chosen.family != Family::network && chosen.family != Family::training) continue;
    const auto mutation = chosen.apply({.code = code, .donors = {}, .rng = rng});
    if (!mutation) continue;
    const auto text = code.apply(mutation->edits);
    REQUIRE(text);
    INFO("operator=" << chosen.name << "\n" << *text);
    code = Code::parse(*text, code.language()).value();
    applied.insert(chosen.name);
    REQUIRE(find_layer_lists(code).size() == (code.contains("Sequential") ? 1U : 0U));
    if (has_training) {
      REQUIRE(find_optimizer(code));
      REQUIRE(find_loop(code, *find_optimizer(code)));
    }
  }
}

TEST_CASE("network operators: shapes fit through long chains of changes", "[unit][model_server]") {
  std::set<std::string_view> applied;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed=" << seed);
    Rng rng(seed);
    run_chain(torch_code(), rng, applied);
    run_chain(python_code(), rng, applied);
    run_chain(Code::parse(std::string(samples::kMembers), Language::cpp).value(), rng, applied);
  }
  // Every operator on networks and trainings found a place somewhere.
  for (const Operator& candidate : operator_table()) {
    if (candidate.family != Family::network && candidate.family != Family::training) continue;
    INFO(candidate.name);
    CHECK(applied.contains(candidate.name));
  }
}

/// The sample with a residual block behind its first activation; no definition of the block.
std::string with_undefined_residual(std::string text) {
  const std::string activation = "nn::ReLU(),\n";
  text.insert(text.find(activation) + activation.size(),
              "        Residual(nn::Sequential(nn::Linear(10, 10), nn::ReLU())),\n");
  return text;
}

TEST_CASE("mend_network: defines the block that came in without its definition",
          "[unit][model_server]") {
  const Code code =
      Code::parse(with_undefined_residual(std::string(samples::kTorch)), Language::cpp).value();
  const auto edits = mend_network(code);
  REQUIRE(edits.size() == 1);
  const Code whole = Code::parse(code.apply(edits).value(), Language::cpp).value();
  CHECK(whole.text().find("struct ResidualImpl : nn::Module") < whole.text().find("struct Net"));
  CHECK(mend_network(whole).empty());
  CHECK(mend_network(torch_code()).empty());
}

TEST_CASE("crossover: brings in a residual block with its definition", "[unit][model_server]") {
  const std::string lacking = with_undefined_residual(std::string(samples::kTorch));
  const Code code = Code::parse(lacking, Language::cpp).value();
  MutationRequest request;
  request.task = Task::crossover;
  request.parent = {.files = {{"model.cpp", std::string(samples::kTorch)}},
                    .languages = {{"model.cpp", Language::cpp}}};
  request.donors = {{.files = {{"model.cpp", code.apply(mend_network(code)).value()}},
                     .languages = {{"model.cpp", Language::cpp}}}};
  int taken = 0;
  for (request.seed = 0; request.seed < 60; ++request.seed) {
    INFO("seed=" << request.seed);
    const auto proposal = propose(request);
    REQUIRE(proposal);
    const std::string& text = proposal->files.at("model.cpp");
    if (text.find(" Residual(") == std::string::npos) continue;
    ++taken;
    CHECK(text.find("struct ResidualImpl") != std::string::npos);
  }
  CHECK(taken > 5);
}

TEST_CASE("change_number: keeps the betas of Adam below one", "[unit][model_server]") {
  for (const char* betas : {".betas(std::make_tuple(0.9, 0.999))", ".betas({0.9, 0.999})"}) {
    const Code code =
        Code::parse("auto o = torch::optim::AdamOptions(0.01)" + std::string(betas) + ";\n",
                    Language::cpp)
            .value();
    INFO(code.text());
    const auto sites = find_numbers(code);
    REQUIRE(sites.size() == 3);
    CHECK(sites[1].role == Role::probability);
    CHECK(sites[2].role == Role::probability);
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      Rng rng(seed);
      const auto mutation = change_number({.code = code, .donors = {}, .rng = rng});
      if (mutation) CHECK(std::stod(mutation->edits[0].text) < 1);
    }
  }
  const Code python =
      Code::parse("o = optim.Adam(p, lr=0.01, betas=(0.9, 0.999))\n", Language::python).value();
  const auto sites = find_numbers(python);
  REQUIRE(sites.size() == 3);
  CHECK(sites[2].role == Role::probability);
}

TEST_CASE("add_schedule: schedule and optimiser share a rate with a name", "[unit][model_server]") {
  const Code code = python_code();
  Rng rng(1);
  const auto mutation = add_schedule({.code = code, .donors = {}, .rng = rng});
  REQUIRE(mutation);
  const std::string text = code.apply(mutation->edits).value();
  CHECK(text.find("    learning_rate = 0.01\n    optimizer = ") != std::string::npos);
  CHECK(text.find("lr=learning_rate") != std::string::npos);
  CHECK(text.find("group[\"lr\"] = learning_rate * ") != std::string::npos);
  // The next operator on the rate finds it at its name.
  const Code next = Code::parse(text, Language::python).value();
  CHECK(find_constant(next, find_optimizer(next)->rate));
}

TEST_CASE("find_optimizer: reads both languages", "[unit][model_server]") {
  const auto cpp = find_optimizer(torch_code());
  REQUIRE(cpp);
  CHECK(cpp->type == "SGD");
  CHECK(cpp->variable == "optimizer");
  CHECK(cpp->rate == "learning_rate");
  CHECK(cpp->parameters == "net.parameters()");
  const auto python = find_optimizer(python_code());
  REQUIRE(python);
  CHECK(python->rate == "0.01");
  CHECK(python->variable == "optimizer");
  const auto loop = find_loop(python_code(), *python);
  REQUIRE(loop);
  CHECK(loop->training == "training");
}

}  // namespace
}  // namespace cambrian::codemodel
