// What models commonly use of LibTorch's templates and inline functions, so that a warm evaluator
// holds them instantiated and compiled. Nothing in here is ever called but cambrian_rehearse(): to
// be named is enough.
// It may include what a candidate gets without asking, and nothing else: otherwise sources would
// compile that are wrong.
#include "cambrian/torch_candidate.hpp"

namespace cambrian::warm {

namespace nn = torch::nn;
namespace F = torch::nn::functional;

// Not in a namespace without a name: functions that nothing calls would not be compiled.
template <class... Layers>
nn::Sequential stack(Layers... layers) {
  // As an argument each, pushed one by one, and with a name.
  nn::Sequential sequence(layers...);
  (sequence->push_back(layers), ...);
  (sequence->push_back("layer", layers), ...);
  nn::ModuleList list;
  (list->push_back(layers), ...);
  (list->push_back(layers.ptr()), ...);
  return sequence;
}

struct Part : nn::Module {
  template <class Layer>
  Layer add(Layer layer) {
    Layer empty{nullptr};
    empty = register_module("layer", layer);
    layer->reset();
    layer->to(torch::kFloat32);
    return empty;
  }
};

template <class... Layers>
void add_all(Part& part, Layers... layers) {
  (part.add(layers), ...);
}

void convolutions(Part& part) {
  const auto one = nn::Conv1d(nn::Conv1dOptions(1, 2, 3).stride(2).padding(1).bias(false));
  const auto two =
      nn::Conv2d(nn::Conv2dOptions(1, 2, 3).stride(2).padding(1).groups(1).dilation(1).bias(false));
  const auto same = nn::Conv2d(nn::Conv2dOptions(1, 2, {3, 3}).padding(torch::kSame));
  const auto transposed = nn::ConvTranspose2d(nn::ConvTranspose2dOptions(1, 2, 3).stride(2));
  stack(one, nn::BatchNorm1d(2), nn::MaxPool1d(2), nn::AvgPool1d(2), nn::AdaptiveAvgPool1d(1));
  stack(two, same, nn::BatchNorm2d(nn::BatchNorm2dOptions(2).momentum(0.1).eps(1e-5)),
        nn::MaxPool2d(nn::MaxPool2dOptions(2).stride(2)), nn::AvgPool2d(2),
        nn::AdaptiveAvgPool2d(1), nn::AdaptiveAvgPool2d(nn::AdaptiveAvgPool2dOptions({1, 1})));
  stack(nn::AdaptiveMaxPool2d(1), nn::AdaptiveMaxPool1d(1), transposed, nn::InstanceNorm2d(2));
  add_all(part, one, two, transposed, nn::BatchNorm1d(2), nn::BatchNorm2d(2), nn::MaxPool1d(2),
          nn::MaxPool2d(2), nn::AvgPool2d(2), nn::AdaptiveAvgPool2d(1), nn::InstanceNorm2d(2),
          nn::GroupNorm(nn::GroupNormOptions(1, 2)));
}

void dense(Part& part) {
  const auto linear = nn::Linear(nn::LinearOptions(1, 2).bias(false));
  stack(nn::Linear(1, 2), linear, nn::ReLU(), nn::ReLU(nn::ReLUOptions(true)), nn::Flatten(),
        nn::Dropout(0.1), nn::Dropout(nn::DropoutOptions().p(0.1)), nn::Tanh(), nn::Sigmoid());
  stack(nn::GELU(), nn::SiLU(), nn::LeakyReLU(), nn::ELU(), nn::Softmax(1), nn::LogSoftmax(1),
        nn::LayerNorm(nn::LayerNormOptions({2})), nn::Identity(), nn::Mish());
  stack(nn::LeakyReLU(nn::LeakyReLUOptions().negative_slope(0.1)), nn::Dropout2d(0.1),
        nn::GroupNorm(nn::GroupNormOptions(1, 2)), nn::SELU(), nn::Softplus(), nn::PReLU(),
        nn::Unflatten(nn::UnflattenOptions(1, {1, 2})), nn::CELU(), nn::ReLU6(), nn::Softsign());
  add_all(part, linear, nn::ReLU(), nn::Flatten(), nn::Dropout(0.1), nn::Dropout2d(0.1),
          nn::LayerNorm(nn::LayerNormOptions({2})), nn::GELU(), nn::SiLU(), nn::Tanh(),
          nn::Embedding(2, 3), nn::Sequential(), nn::ModuleList(), nn::LeakyReLU(), nn::PReLU());
}

void recurrent(Part& part, const torch::Tensor& x) {
  auto gru = nn::GRU(nn::GRUOptions(1, 2).num_layers(2).batch_first(true).bidirectional(true));
  auto lstm = nn::LSTM(nn::LSTMOptions(1, 2).num_layers(2).batch_first(true).dropout(0.1));
  auto rnn = nn::RNN(nn::RNNOptions(1, 2).batch_first(true).nonlinearity(torch::kReLU));
  add_all(part, gru, lstm, rnn, nn::GRUCell(1, 2), nn::LSTMCell(1, 2),
          nn::MultiheadAttention(nn::MultiheadAttentionOptions(2, 1)),
          nn::TransformerEncoderLayer(nn::TransformerEncoderLayerOptions(2, 1)));
  auto [outputs, state] = gru->forward(x);
  auto [more, states] = lstm->forward(x);
  auto [memory, carry] = states;
  std::get<0>(rnn->forward(x)).add(outputs).add(std::get<0>(lstm->forward(x)));
  more.add(memory).add(std::get<1>(rnn->forward(x, state)));
}

torch::Tensor functions(const torch::Tensor& x, const torch::Tensor& y) {
  auto loss = F::cross_entropy(x, y) + F::mse_loss(x, y) + F::nll_loss(x, y) +
              F::cross_entropy(x, y, F::CrossEntropyFuncOptions().label_smoothing(0.1)) +
              F::smooth_l1_loss(x, y) + F::l1_loss(x, y) + F::huber_loss(x, y) +
              F::binary_cross_entropy_with_logits(x, y) + F::kl_div(x, y);
  nn::CrossEntropyLoss criterion(nn::CrossEntropyLossOptions().label_smoothing(0.1));
  nn::MSELoss squares;
  loss = loss + criterion(x, y) + squares(x, y) + criterion->forward(x, y);
  auto z = F::relu(F::gelu(F::silu(F::softmax(F::log_softmax(x, 1), 1))));
  z = F::leaky_relu(F::elu(F::mish(F::tanhshrink(F::softplus(z)))));
  z = F::max_pool2d(z, F::MaxPool2dFuncOptions(2).stride(2)) +
      F::avg_pool2d(z, F::AvgPool2dFuncOptions(2)) +
      F::adaptive_avg_pool2d(z, F::AdaptiveAvgPool2dFuncOptions(1));
  z = F::max_pool1d(z, F::MaxPool1dFuncOptions(2)) + F::avg_pool1d(z, F::AvgPool1dFuncOptions(2)) +
      F::adaptive_avg_pool1d(z, F::AdaptiveAvgPool1dFuncOptions(1));
  z = F::dropout(z, F::DropoutFuncOptions().p(0.1).training(true)) + F::normalize(z);
  z = F::pad(z, F::PadFuncOptions({1, 1})) + F::one_hot(y, 10) + F::linear(x, y);
  z = F::conv2d(x, y, F::Conv2dFuncOptions().stride(1).padding(1)) + F::conv1d(x, y);
  return z + loss;
}

torch::Tensor tensors(torch::Tensor x) {
  using torch::indexing::None;
  using torch::indexing::Slice;
  x = x.view({-1, 2}).reshape({2, -1}).flatten(1).squeeze(0).unsqueeze(1).transpose(0, 1);
  x = x.permute({1, 0}).contiguous().mean(1) + x.mean({1, 2}) + x.sum(1) + x.sum() + x.max();
  x = std::get<0>(x.max(1)) + std::get<1>(x.max(1, true)) + x.argmax(1) + x.softmax(1);
  x = torch::relu(torch::tanh(torch::sigmoid(torch::gelu(torch::silu(x)))));
  x = torch::cat({x, x}, 1) + torch::stack({x, x}) + torch::matmul(x, x) + x.matmul(x.t());
  x = x.index({Slice(), 0}) + x.index({Slice(0, 1), Slice(None, None, 2)}) + x.slice(1, 0, 2);
  x = x.index({torch::indexing::Ellipsis, 0}) + x.narrow(0, 0, 1) + x.select(0, 1) + x[0];
  x = x * 2 + 1 - x / 2.0 + (-x) + 2 * x + x.pow(2) + x.sqrt() + x.exp() + x.log() + x.abs();
  x = x.clamp(0, 1) + torch::where(x > 0, x, torch::zeros_like(x)) + x.eq(1).to(torch::kFloat32);
  x = torch::randn({2, 3}) + torch::rand({2}) + torch::zeros({2, 3}) + torch::ones({1});
  x = torch::full({2}, 0.5) + torch::arange(0, 10) + torch::arange(10) + torch::empty({2});
  x = torch::randperm(4) + torch::randint(0, 4, {2}) + torch::randint(4, {2}, torch::kInt64);
  x = x + torch::randn_like(x) + torch::rand_like(x) + torch::flip(x, {1}) + torch::roll(x, 1, 2);
  x = x.index_select(0, x) + x.to(torch::kInt64) + x.detach() + x.clone() + x.cpu();
  x = torch::tensor({1.0f, 2.0f}) + torch::tensor({1, 2}) + torch::linspace(0, 1, 4) + x.std();
  x = x.expand({2, 3}) + x.repeat({2, 1}) + torch::bmm(x, x) + torch::einsum("ij,jk->ik", {x, x});
  x += 1;
  x *= x;
  x -= x.item<double>() + x.item<float>() + static_cast<double>(x.item<int64_t>());
  x.mul_(0.9).add_(x, 0.1).copy_(x).fill_(0).zero_();
  for (const torch::Tensor& part : x.chunk(2, 1)) x = x + part;
  for (const torch::Tensor& part : x.split(2, 1)) x = x + part;
  return x;
}

template <class Optimizer, class Options>
void optimise(Part& part, const torch::Tensor& loss, Options options, double rate) {
  Optimizer optimizer(part.parameters(), options);
  auto later = std::make_unique<Optimizer>(part.parameters(), options);
  auto shared = std::make_shared<Optimizer>(part.parameters(), options);
  for (auto& group : optimizer.param_groups()) {
    group.options().set_lr(rate);
    static_cast<Options&>(group.options()).lr(rate);
  }
  for (torch::optim::OptimizerParamGroup& group : later->param_groups()) {
    group.options().set_lr(group.options().get_lr() * rate);
  }
  optimizer.zero_grad();
  loss.backward();
  nn::utils::clip_grad_norm_(part.parameters(), 1.0);
  optimizer.step();
  shared->step();
  torch::optim::StepLR schedule(optimizer, 1, 0.5);
  schedule.step();
}

void optimisers(Part& part, const torch::Tensor& loss) {
  namespace optim = torch::optim;
  optimise<optim::AdamW>(part, loss, optim::AdamWOptions(0.1).weight_decay(0.1), 0.1);
  optimise<optim::Adam>(part, loss, optim::AdamOptions(0.1).betas({0.9, 0.99}).eps(1e-8), 0.1);
  optimise<optim::SGD>(part, loss, optim::SGDOptions(0.1).momentum(0.9).nesterov(true), 0.1);
  optimise<optim::RMSprop>(part, loss, optim::RMSpropOptions(0.1).alpha(0.9), 0.1);
}

void modules(Part& part) {
  torch::NoGradGuard guard;
  part.register_parameter("weight", torch::zeros({1}));
  part.register_buffer("buffer", torch::zeros({1}));
  for (auto& parameter : part.parameters()) {
    nn::init::kaiming_normal_(parameter);
    nn::init::xavier_uniform_(parameter);
    nn::init::normal_(parameter, 0.0, 0.1);
    nn::init::uniform_(parameter, -0.1, 0.1);
    nn::init::zeros_(parameter);
    nn::init::ones_(parameter);
    nn::init::constant_(parameter, 0.1);
    nn::init::orthogonal_(parameter);
  }
  for (auto& named : part.named_parameters()) named.value().copy_(named.value());
  for (auto& named : part.named_buffers()) named.value().copy_(named.value());
  for (auto& module : part.modules(false)) {
    if (auto* linear = module->as<nn::Linear>()) linear->weight.data().zero_();
    if (auto* conv = module->as<nn::Conv2d>()) conv->weight.data().zero_();
    if (auto* norm = dynamic_cast<nn::BatchNorm2dImpl*>(module.get())) norm->weight.data();
  }
  part.train();
  part.eval();
  part.zero_grad();
}

struct Net : Part {
  nn::Sequential layers{nullptr};
  nn::ModuleList blocks;
  nn::Linear first{nullptr}, second = nullptr;
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d norm{nullptr};
  nn::Dropout dropout{nullptr};
  torch::Tensor scale;

  Net() {
    layers = register_module("layers", nn::Sequential(nn::Linear(1, 2), nn::ReLU()));
    first = register_module("first", nn::Linear(1, 2));
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(1, 2, 3)));
    blocks = register_module("blocks", nn::ModuleList());
    scale = register_parameter("scale", torch::ones({1}));
  }
  torch::Tensor forward(torch::Tensor x) {
    for (const auto& block : *blocks) x = block->as<nn::Sequential>()->forward(x);
    for (size_t i = 0; i < blocks->size(); ++i) x = blocks[i]->as<nn::Linear>()->forward(x);
    return dropout(norm(conv(second(first->forward(layers->forward(x))))));
  }
};

void train(Net& net, const Data& data, Training& training) {
  torch::optim::AdamW optimizer(net.parameters(), torch::optim::AdamWOptions(0.1));
  std::vector<torch::Tensor> averages;
  std::vector<std::vector<torch::Tensor>> history;
  std::vector<double> losses;
  std::vector<int64_t> sizes = {1, 2};
  while (training.has_time()) {
    auto [inputs, targets] = data.sample(8);
    auto loss = F::cross_entropy(net.forward(inputs), targets);
    auto order = torch::randperm(data.size(), torch::kInt64);
    auto [more, others] = data.batch(order.slice(0, 0, 8));
    averages.push_back(loss.clone());
    averages.emplace_back(more);
    losses.push_back(loss.item<double>());
    training.step(loss);
    training.step(losses.back());
  }
  history.push_back(std::move(averages));
}

std::unique_ptr<Candidate> make(const Setup& setup) {
  setup.parameter("steps", 0);
  struct Own : Candidate {
    std::shared_ptr<Net> net = std::make_shared<Net>();
    nn::Module& module() override { return *net; }
    void train(const Data& data, Training& training) override { warm::train(*net, data, training); }
    torch::Tensor predict(torch::Tensor inputs) override { return net->forward(inputs); }
  };
  if (setup.threads > 1) return std::make_unique<Own>();
  return std::make_unique<NetCandidate<Net>>(train);
}

}  // namespace cambrian::warm

// What the host of candidates rehearses: a training of two steps.
extern "C" void cambrian_rehearse() {
  namespace nn = torch::nn;
  nn::Sequential net(nn::Conv1d(nn::Conv1dOptions(1, 8, 5)), nn::ReLU(), nn::Flatten(),
                     nn::Linear(288, 10));
  torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(0.01));
  for (int step = 0; step < 2; ++step) {
    const auto classes = torch::randint(10, {64}, torch::kInt64);
    const auto loss =
        nn::functional::cross_entropy(net->forward(torch::randn({64, 1, 40})), classes);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
}
