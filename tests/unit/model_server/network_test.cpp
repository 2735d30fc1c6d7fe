#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

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

/// What an operator makes of a program, with every seed that makes something.
std::vector<std::string> all_changes(const Code& code,
                                     std::optional<Mutation> (*apply)(const Context&)) {
  std::vector<std::string> texts;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Rng rng(seed);
    const auto mutation = apply({.code = code, .donors = {}, .rng = rng});
    if (mutation) texts.push_back(code.apply(mutation->edits).value());
  }
  return texts;
}

Code parsed(std::string text, Language language = Language::cpp) {
  return Code::parse(std::move(text), language).value();
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("training operators: new tensors are where the data is", "[unit][model_server]") {
  int made = 0;
  const auto check = [&made](const std::string& text) {
    for (const char* maker : {"torch::rand(", "torch.rand(", "randperm("}) {
      for (auto at = text.find(maker); at != std::string::npos; at = text.find(maker, at + 1)) {
        ++made;
        INFO(text);
        const std::string line = text.substr(at, text.find('\n', at) - at);
        CHECK(line.find("device") != std::string::npos);
      }
    }
  };
  // Python as the data of the SDK has it.
  const Code python = parsed(
      "import torch\nfrom torch import nn\n# EVOLVE-BLOCK-START\nclass Net(nn.Module):\n"
      "    # inputs: [batch, 1, 28, 28]\n    def __init__(self):\n"
      "        super().__init__()\n        self.layers = nn.Sequential(\n"
      "            nn.Flatten(),\n            nn.Linear(784, 16),\n            nn.ReLU(),\n"
      "            nn.Linear(16, 10),\n        )\n\n    def forward(self, x):\n"
      "        return self.layers(x)\n\n\ndef train(model, data, training):\n"
      "    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)\n"
      "    while training.has_time():\n        inputs, targets = data.sample(64)\n"
      "        loss = nn.functional.cross_entropy(model(inputs), targets)\n"
      "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n"
      "# EVOLVE-BLOCK-END\n",
      Language::python);
  for (const Code& code : {torch_code(), python}) {
    const int before = made;
    for (const auto& text : all_changes(code, augment_data)) check(text);
    CHECK(made > before);
    for (const auto& text : all_changes(code, shuffle_epochs)) check(text);
  }
}

TEST_CASE("normalise_inputs: scales what goes into the network, not into a block of it",
          "[unit][model_server]") {
  const Code lacking = parsed(with_undefined_residual(std::string(samples::kTorch)));
  const Code code = parsed(lacking.apply(mend_network(lacking)).value());
  const auto texts = all_changes(code, normalise_inputs);
  REQUIRE_FALSE(texts.empty());
  for (const std::string& text : texts) {
    CHECK(text.find("inputs = (inputs - ") > text.find("struct Net"));
    CHECK(text.find("x = (x - ") == std::string::npos);
  }
}

TEST_CASE("operators: a training with variables of its own does not say that it can be resumed",
          "[unit][model_server]") {
  const Code torch =
      parsed(replaced(std::string(samples::kTorch), "  while (training.has_time()) {",
                      "  cambrian::make_resumable(training, net, optimizer);\n"
                      "  while (training.has_time()) {"));
  const Code python =
      parsed(replaced(std::string(samples::kPythonTraining), "    while training.has_time():",
                      "    training.make_resumable(model, optimizer)\n"
                      "    while training.has_time():"),
             Language::python);
  for (const Code* code : {&torch, &python}) {
    const auto averaged = all_changes(*code, average_weights);
    REQUIRE_FALSE(averaged.empty());
    for (const std::string& text : averaged) {
      CHECK(text.find("make_resumable") == std::string::npos);
      CHECK(text.find("has_time()") != std::string::npos);
    }
    for (const std::string& text : all_changes(*code, shuffle_epochs)) {
      CHECK(text.find("make_resumable") == std::string::npos);
    }
    const auto scheduled = all_changes(*code, add_schedule);
    REQUIRE_FALSE(scheduled.empty());
    for (const std::string& text : scheduled) {
      CHECK(text.find("make_resumable") != std::string::npos);
    }
  }
}

TEST_CASE("operators: what is const is not set, and what belongs to others neither",
          "[unit][model_server]") {
  const std::string torch(samples::kTorch);
  for (const char* parameter : {"const torch::Tensor& inputs", "torch::Tensor& inputs"}) {
    const Code code = parsed(replaced(torch, "forward(torch::Tensor inputs)",
                                      "forward(" + std::string(parameter) + ")"));
    CHECK(all_changes(code, normalise_inputs).empty());
  }
  const Code fixed = parsed(replaced(torch, "auto [inputs", "const auto [inputs"));
  CHECK(all_changes(fixed, augment_data).empty());
  CHECK_FALSE(all_changes(torch_code(), augment_data).empty());
  const std::string members(samples::kMembers);
  const Code constant = parsed(replaced(
      replaced(members, "auto hidden = ", "const auto hidden = "),
      "hidden = hidden + torch::relu(second->forward(hidden));\n    return last->forward(hidden)",
      "return last->forward(torch::relu(second->forward(hidden)))"));
  CHECK(all_changes(constant, insert_member).empty());
  CHECK(all_changes(constant, add_called_dropout).empty());
  CHECK_FALSE(all_changes(parsed(members), insert_member).empty());
  const Code circles = parsed(
      "// EVOLVE-BLOCK-START\nstd::vector<Circle> pack(double seconds) {\n"
      "  const std::vector<Circle> circles = grid();\n  return circles;\n}\n"
      "// EVOLVE-BLOCK-END\n");
  CHECK(all_changes(circles, add_climb).empty());
}

TEST_CASE("change_convolution: what Python gives without a name is not given twice",
          "[unit][model_server]") {
  const Code code = parsed(
      "from torch import nn\n# EVOLVE-BLOCK-START\nclass Net(nn.Module):\n"
      "    # inputs: [batch, 1, 28, 28]\n    def __init__(self):\n"
      "        super().__init__()\n        self.layers = nn.Sequential(\n"
      "            nn.Conv2d(1, 8, 5, 2, 2),\n            nn.ReLU(),\n"
      "            nn.Flatten(),\n            nn.Linear(1568, 10),\n        )\n"
      "# EVOLVE-BLOCK-END\n",
      Language::python);
  REQUIRE(find_layer_lists(code).size() == 1);
  const auto texts = all_changes(code, change_convolution);
  CHECK(texts.size() > 10);
  for (const std::string& text : texts) {
    const auto at = text.find("nn.Conv2d(");
    const std::string layer = text.substr(at, text.find('\n', at) - at);
    INFO(layer);
    CHECK(layer.find("stride=") != std::string::npos);
    CHECK(layer.find("padding=") != std::string::npos);
    CHECK(std::count(layer.begin(), layer.end(), ',') == 5);  // The last one ends the line.
  }
}

TEST_CASE("change_shared_width: leaves alone what the task gives and takes",
          "[unit][model_server]") {
  // Ten numbers come in and ten go out; 100 is the network's own.
  const Code code = parsed(
      replaced(std::string(samples::kMembers), "nn::Linear(40, 100)", "nn::Linear(10, 100)"));
  const auto texts = all_changes(code, change_shared_width);
  CHECK(texts.size() > 10);
  for (const std::string& text : texts) {
    CHECK(text.find("nn::Linear(10, ") != std::string::npos);
    CHECK(text.find(", 10)") != std::string::npos);
  }
}

TEST_CASE("insert_member: the channels of a convolution are no width", "[unit][model_server]") {
  std::string text =
      replaced(std::string(samples::kMembers), "nn::Linear first", "nn::Conv1d first");
  text = replaced(text, "nn::Linear(40, 100)", "nn::Conv1d(1, 24, 3)");
  for (const std::string& changed : all_changes(parsed(text), insert_member)) {
    CHECK(changed.find("Linear(24, 24)") == std::string::npos);
    CHECK(changed.find("BatchNorm1d(24)") == std::string::npos);
  }
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
