#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cambrian {

/// Type of one element, as named in frames.
enum class DType { f32, f64, i32, i64, u8 };

std::string_view to_string(DType dtype);
/// Bytes of one element.
std::size_t size_of(DType dtype);

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}

using Shape = std::vector<std::int64_t>;

/// `[128, 784]`, for messages.
std::string to_text(const Shape& shape);
/// Number of elements. Throws std::invalid_argument for negative sizes, more than kRankMax
/// dimensions and products above kPayloadBytesMax.
std::size_t element_count(const Shape& shape);

/// Largest number of dimensions.
inline constexpr std::size_t kRankMax = 8;

/// Memory that tensors lie in: on the heap, or a sealed memory file. Never copied.
class TensorStorage {
 public:
  virtual ~TensorStorage() = default;
  virtual std::byte* data() const = 0;
  virtual std::size_t size() const = 0;
  /// Descriptor of the sealed memory file, or -1. Stays owned by the storage.
  virtual int descriptor() const { return -1; }
};

/// A named block of numbers: contiguous, the last dimension fastest, little endian. Copies share
/// the memory. Safe to read from several threads.
class Tensor {
 public:
  Tensor() = default;
  /// A view into storage from `offset` on. Throws std::invalid_argument where it does not fit or is
  /// not aligned for its type.
  Tensor(std::string name, DType dtype, Shape shape, std::shared_ptr<const TensorStorage> storage,
         std::size_t offset);

  const std::string& name() const { return name_; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  /// Number of elements.
  std::size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data(), size_ * size_of(dtype_)}; }
  /// The memory is private to this process and may be written, but copies of the tensor share it.
  std::byte* data() const { return data_; }
  /// The sealed memory file behind it, or -1 for a tensor that travels in the payload.
  int descriptor() const { return storage_ ? storage_->descriptor() : -1; }
  std::size_t offset() const { return offset_; }
  const std::shared_ptr<const TensorStorage>& storage() const { return storage_; }

  /// The elements. Throws std::invalid_argument where the type is another one.
  template <class T>
  std::span<const T> values() const {
    require_dtype(dtype_of<T>());
    return {reinterpret_cast<const T*>(data_), size_};
  }

 private:
  void require_dtype(DType wanted) const;

  std::string name_;
  DType dtype_ = DType::f32;
  Shape shape_;
  std::size_t size_ = 0;
  std::size_t offset_ = 0;
  std::byte* data_ = nullptr;
  std::shared_ptr<const TensorStorage> storage_;
};

/// Fresh memory of `bytes` zeroes on the heap.
std::shared_ptr<TensorStorage> make_heap_storage(std::size_t bytes);

/// A tensor with its own memory, for the payload. `fill` writes the elements.
Tensor make_tensor(std::string name, DType dtype, Shape shape,
                   const std::function<void(std::byte*)>& fill);

/// A tensor in a memory file that nobody can change after `fill` has written it: travels without
/// being copied, and only from a judge. Throws std::system_error where memory files do not work.
Tensor make_shared_tensor(std::string name, DType dtype, Shape shape,
                          const std::function<void(std::byte*)>& fill);

/// A copy of `values`. Throws std::invalid_argument where the shape has another number of elements.
template <class T>
Tensor make_tensor(std::string name, Shape shape, std::span<const T> values) {
  if (element_count(shape) != values.size()) {
    throw std::invalid_argument("shape does not fit the values: tensor=" + name);
  }
  return make_tensor(std::move(name), dtype_of<T>(), std::move(shape), [&](std::byte* out) {
    const auto bytes = std::as_bytes(values);
    std::copy(bytes.begin(), bytes.end(), out);
  });
}
template <class T>
Tensor make_tensor(std::string name, Shape shape, const std::vector<T>& values) {
  return make_tensor(std::move(name), std::move(shape), std::span<const T>(values));
}

/// A view of the memory file behind `descriptor`, which this takes over whatever happens. Writes go
/// to a private copy. Throws std::invalid_argument where it is not sealed against writing, growing
/// and shrinking, std::system_error where it cannot be mapped.
std::shared_ptr<TensorStorage> map_sealed_storage(int descriptor);

/// True where every element is finite; always for integers.
bool is_finite(const Tensor& tensor);

}  // namespace cambrian
