#include "cambrian/torch_candidate.hpp"

#include <c10/util/Flags.h>

#include <cstring>
#include <sstream>
#include <stdexcept>

C10_DECLARE_bool(caffe2_cpu_allocator_do_zero_fill);

namespace cambrian {
namespace {

torch::ScalarType scalar_type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return torch::kFloat32;
    case DType::f64: return torch::kFloat64;
    case DType::i32: return torch::kInt32;
    case DType::i64: return torch::kInt64;
    case DType::u8: return torch::kUInt8;
  }
  return torch::kUInt8;
}

// The type in which a tensor travels: types that frames do not know are widened, and narrowed again
// where the value is copied into the module.
DType dtype_of(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kFloat32:
    case torch::kFloat16:
    case torch::kBFloat16: return DType::f32;
    case torch::kFloat64: return DType::f64;
    case torch::kInt8:
    case torch::kInt16:
    case torch::kInt32: return DType::i32;
    case torch::kInt64: return DType::i64;
    case torch::kUInt8:
    case torch::kBool: return DType::u8;
    default: break;
  }
  throw std::invalid_argument(std::string("tensors of this type cannot be stored: ") +
                              torch::toString(tensor.scalar_type()));
}

Tensor to_frame(const std::string& name, const torch::Tensor& tensor) {
  const DType dtype = dtype_of(tensor);
  const torch::Tensor plain = tensor.detach().to(torch::kCPU, scalar_type_of(dtype)).contiguous();
  return make_tensor(name, dtype, Shape(plain.sizes().begin(), plain.sizes().end()),
                     [&](std::byte* out) { std::memcpy(out, plain.data_ptr(), plain.nbytes()); });
}

// A view of the frame's memory, which it keeps alive.
torch::Tensor from_frame(const Tensor& tensor) {
  return torch::from_blob(
      tensor.data(), tensor.shape(), [keep = tensor.storage()](void*) {},
      torch::TensorOptions().dtype(scalar_type_of(tensor.dtype())));
}

// Parameters and buffers by name: the state that survives a training.
std::vector<std::pair<std::string, torch::Tensor>> state_of(torch::nn::Module& module) {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (const auto& entry : module.named_parameters()) {
    if (entry.value().defined()) state.emplace_back(entry.key(), entry.value());
  }
  for (const auto& entry : module.named_buffers()) {
    if (entry.value().defined()) state.emplace_back(entry.key(), entry.value());
  }
  return state;
}

// Copies what a process of the same variant gave into a module.
void take_state(torch::nn::Module& module, const Message& message) {
  const torch::NoGradGuard guard;
  for (auto& [name, value] : state_of(module)) {
    const torch::Tensor stored = from_frame(message.tensor(name));
    if (stored.sizes() != value.sizes()) {
      throw std::runtime_error("the fresh module has another shape: tensor=" + name);
    }
    value.copy_(stored);
  }
}

// Tensors of a checkpoint beside those of the module, none of whose names begins with a point.
constexpr const char* kOptimizerName = ".optimizer";
constexpr const char* kRandomPrefix = ".random";

std::vector<at::Generator> generators_of(torch::nn::Module& module) {
  std::vector<at::Generator> generators = {
      at::globalContext().defaultGenerator(torch::Device(torch::kCPU))};
  for (const auto& [name, value] : state_of(module)) {
    if (!value.is_cuda()) continue;
    generators.push_back(at::globalContext().defaultGenerator(value.device()));
    break;
  }
  return generators;
}

std::vector<Tensor> save_training(torch::nn::Module& module,
                                  const torch::optim::Optimizer& optimizer) {
  const torch::NoGradGuard guard;
  std::vector<Tensor> saved;
  for (const auto& [name, value] : state_of(module)) {
    saved.push_back(to_frame(name, value));
  }
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  std::ostringstream stream;
  archive.save_to(stream);
  const std::string bytes = std::move(stream).str();
  saved.push_back(
      make_tensor(kOptimizerName, DType::u8, {static_cast<std::int64_t>(bytes.size())},
                  [&](std::byte* out) { std::memcpy(out, bytes.data(), bytes.size()); }));
  const auto generators = generators_of(module);
  for (std::size_t i = 0; i < generators.size(); ++i) {
    saved.push_back(to_frame(kRandomPrefix + std::to_string(i), generators[i].get_state()));
  }
  return saved;
}

void resume_training(torch::nn::Module& module, torch::optim::Optimizer& optimizer,
                     const Message& saved) {
  take_state(module, saved);
  const auto parameters = module.parameters();
  const Tensor& bytes = saved.tensor(kOptimizerName);
  torch::serialize::InputArchive archive;
  archive.load_from(reinterpret_cast<const char*>(bytes.data()), bytes.size(),
                    parameters.empty() ? torch::Device(torch::kCPU) : parameters.front().device());
  optimizer.load(archive);
  auto generators = generators_of(module);
  for (std::size_t i = 0; i < generators.size(); ++i) {
    generators[i].set_state(from_frame(saved.tensor(kRandomPrefix + std::to_string(i))).clone());
  }
}

/// Puts back what a prediction may change in a training that it interrupts: who is in training
/// mode, the buffers, and where the random numbers are.
class Interruption {
 public:
  explicit Interruption(torch::nn::Module& module)
      : module_(module), generators_(generators_of(module)) {
    for (const at::Generator& generator : generators_) states_.push_back(generator.get_state());
    // Parents come before their children, whose mode they set.
    modes_.emplace_back(&module, module.is_training());
    for (const auto& part : module.modules(false)) {
      modes_.emplace_back(part.get(), part->is_training());
    }
    for (const torch::Tensor& buffer : module.buffers()) buffers_.push_back(buffer.clone());
  }
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;
  ~Interruption() {
    for (std::size_t i = 0; i < generators_.size(); ++i) generators_[i].set_state(states_[i]);
    for (const auto& [part, mode] : modes_) part->train(mode);
    const std::vector<torch::Tensor> buffers = module_.buffers();
    for (std::size_t i = 0; i < std::min(buffers.size(), buffers_.size()); ++i) {
      // Only what has changed: to write is to invalidate what autograd holds.
      if (!torch::equal(buffers[i], buffers_[i])) buffers[i].copy_(buffers_[i]);
    }
  }

 private:
  torch::nn::Module& module_;
  std::vector<at::Generator> generators_;
  std::vector<torch::Tensor> states_;
  std::vector<std::pair<torch::nn::Module*, bool>> modes_;
  std::vector<torch::Tensor> buffers_;
};

// oneDNN 3.7 leaves what fills up a block of channels as it finds it where it rearranges the
// weights of a convolution, and multiplies it by zero: memory that held NaN or infinity made the
// result NaN, in one process of several (seen with 25 channels, blocks of 8 and 16). So memory
// comes as zeros, which makes what a candidate reads before writing the same each time, too.
// Measured on that network: no slower.
void zero_fresh_memory() { FLAGS_caffe2_cpu_allocator_do_zero_fill = true; }

class TorchProgram : public Program {
 public:
  explicit TorchProgram(const Setup& setup) : device_(setup.device) {
    zero_fresh_memory();
    torch::set_num_threads(setup.threads);
    torch::manual_seed(setup.seed);
    candidate_ = make_candidate(setup);
    if (!candidate_) throw std::logic_error("make_candidate returned nothing");
    candidate_->module().to(device_);
  }

  std::vector<Tensor> train(const Message& message, Training& training) override {
    Data data;
    for (const Tensor& tensor : message.tensors) {
      torch::Tensor value = from_frame(tensor).to(device_);
      if (tensor.name() == "inputs") {
        data.inputs = value;
      } else if (tensor.name() == "targets") {
        data.targets = value;
      } else {
        data.others[tensor.name()] = value;
      }
    }
    candidate_->module().train();
    candidate_->train(data, training);
    const torch::NoGradGuard guard;
    std::vector<Tensor> state;
    for (const auto& [name, value] : state_of(candidate_->module())) {
      state.push_back(to_frame(name, value));
    }
    return state;
  }

  void load(const Message& message) override {
    const std::size_t fresh = state_of(candidate_->module()).size();
    if (fresh != message.tensors.size()) {
      throw std::runtime_error("the trained state has " + std::to_string(message.tensors.size()) +
                               " tensors, the fresh module " + std::to_string(fresh));
    }
    take_state(candidate_->module(), message);
  }

  Tensor predict(const Message& message) override {
    const torch::InferenceMode guard;
    return outputs_for(message);
  }

  std::optional<Tensor> probe(const Message& message) override {
    // Not InferenceMode: what a module keeps of this, its training must be able to use.
    const torch::NoGradGuard guard;
    const Interruption interruption(candidate_->module());
    return outputs_for(message);
  }

 private:
  Tensor outputs_for(const Message& message) {
    candidate_->module().eval();
    const torch::Tensor inputs = from_frame(message.tensor("inputs")).to(device_);
    const torch::Tensor outputs = candidate_->predict(inputs);
    return to_frame("outputs", outputs.to(torch::kFloat32));
  }

  torch::Device device_;
  std::unique_ptr<Candidate> candidate_;
};

}  // namespace

void make_resumable(Training& training, torch::nn::Module& module,
                    torch::optim::Optimizer& optimizer) {
  training.make_resumable(
      {[net = &module, steps = &optimizer] { return save_training(*net, *steps); },
       [net = &module, steps = &optimizer](const Message& saved) {
         resume_training(*net, *steps, saved);
       }});
}

std::unique_ptr<Program> make_program(const Setup& setup) {
  return std::make_unique<TorchProgram>(setup);
}

}  // namespace cambrian
