#include "cambrian/torch_candidate.hpp"

#include <cstring>
#include <stdexcept>

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

class TorchProgram : public Program {
 public:
  explicit TorchProgram(const Setup& setup) : device_(setup.device) {
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
    const torch::NoGradGuard guard;
    auto state = state_of(candidate_->module());
    if (state.size() != message.tensors.size()) {
      throw std::runtime_error("the trained state has " + std::to_string(message.tensors.size()) +
                               " tensors, the fresh module " + std::to_string(state.size()));
    }
    for (auto& [name, value] : state) {
      const torch::Tensor stored = from_frame(message.tensor(name));
      if (stored.sizes() != value.sizes()) {
        throw std::runtime_error("the fresh module has another shape: tensor=" + name);
      }
      value.copy_(stored);
    }
  }

  Tensor predict(const Message& message) override {
    const torch::InferenceMode guard;
    candidate_->module().eval();
    const torch::Tensor inputs = from_frame(message.tensor("inputs")).to(device_);
    const torch::Tensor outputs = candidate_->predict(inputs);
    return to_frame("outputs", outputs.to(torch::kFloat32));
  }

 private:
  torch::Device device_;
  std::unique_ptr<Candidate> candidate_;
};

}  // namespace

std::unique_ptr<Program> make_program(const Setup& setup) {
  return std::make_unique<TorchProgram>(setup);
}

}  // namespace cambrian
