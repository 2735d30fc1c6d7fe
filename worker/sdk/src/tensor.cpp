#include "cambrian/tensor.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <new>
#include <system_error>

#include "cambrian/frame.hpp"

namespace cambrian {
namespace {

class HeapStorage : public TensorStorage {
 public:
  explicit HeapStorage(std::size_t bytes)
      : size_(bytes),
        data_(static_cast<std::byte*>(std::calloc(std::max<std::size_t>(bytes, 1), 1))) {
    if (data_ == nullptr) throw std::bad_alloc();
  }
  ~HeapStorage() override { std::free(data_); }
  HeapStorage(const HeapStorage&) = delete;
  HeapStorage& operator=(const HeapStorage&) = delete;
  std::byte* data() const override { return data_; }
  std::size_t size() const override { return size_; }

 private:
  std::size_t size_;
  std::byte* data_;
};

class MappedStorage : public TensorStorage {
 public:
  MappedStorage(Descriptor file, std::size_t size) : file_(std::move(file)), size_(size) {
    if (size == 0) return;
    // Private: a candidate that normalises its data in place writes to a copy of those pages.
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file_.get(), 0);
    if (data == MAP_FAILED) throw std::system_error(errno, std::system_category(), "mmap");
    data_ = static_cast<std::byte*>(data);
  }
  ~MappedStorage() override {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  MappedStorage(const MappedStorage&) = delete;
  MappedStorage& operator=(const MappedStorage&) = delete;
  std::byte* data() const override { return data_; }
  std::size_t size() const override { return size_; }
  int descriptor() const override { return file_.get(); }

 private:
  Descriptor file_;
  std::size_t size_;
  std::byte* data_ = nullptr;
};

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

[[noreturn]] void throw_system(const char* what) {
  throw std::system_error(errno, std::system_category(), what);
}

void fill_file(int file, std::size_t size, const std::function<void(std::byte*)>& fill) {
  if (::ftruncate(file, static_cast<off_t>(size)) != 0) throw_system("ftruncate");
  if (size == 0) return;
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (data == MAP_FAILED) throw_system("mmap");
  try {
    fill(static_cast<std::byte*>(data));
  } catch (...) {
    ::munmap(data, size);
    throw;
  }
  // The seal against writing is refused while a writable shared mapping exists.
  ::munmap(data, size);
}

template <class T>
bool all_finite(const Tensor& tensor) {
  return std::ranges::all_of(tensor.values<T>(), [](T value) { return std::isfinite(value); });
}

}  // namespace

std::string_view to_string(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
  }
  return "u8";
}

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::i32: return 4;
    case DType::i64: return 8;
    case DType::u8: return 1;
  }
  return 1;
}

std::string to_text(const Shape& shape) {
  std::string out = "[";
  for (const std::int64_t size : shape) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(size);
  }
  return out + "]";
}

std::size_t element_count(const Shape& shape) {
  if (shape.size() > kRankMax) throw std::invalid_argument("too many dimensions");
  std::size_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) throw std::invalid_argument("negative size: shape=" + to_text(shape));
    const auto wide = static_cast<std::size_t>(size);
    if (wide != 0 && count > kPayloadBytesMax / wide) {
      throw std::invalid_argument("too many elements: shape=" + to_text(shape));
    }
    count *= wide;
  }
  return count;
}

Tensor::Tensor(std::string name, DType dtype, Shape shape,
               std::shared_ptr<const TensorStorage> storage, std::size_t offset)
    : name_(std::move(name)),
      dtype_(dtype),
      shape_(std::move(shape)),
      size_(element_count(shape_)),
      offset_(offset),
      storage_(std::move(storage)) {
  const std::size_t bytes = size_ * size_of(dtype_);
  if (offset_ % size_of(dtype_) != 0) {
    throw std::invalid_argument("offset is not aligned: tensor=" + name_);
  }
  if (offset_ > storage_->size() || bytes > storage_->size() - offset_) {
    throw std::invalid_argument("data end before the tensor does: tensor=" + name_);
  }
  data_ = storage_->data() + offset_;
}

void Tensor::require_dtype(DType wanted) const {
  if (dtype_ == wanted) return;
  throw std::invalid_argument("wrong element type: tensor=" + name_ +
                              " dtype=" + std::string(to_string(dtype_)) +
                              " wanted=" + std::string(to_string(wanted)));
}

std::shared_ptr<TensorStorage> make_heap_storage(std::size_t bytes) {
  return std::make_shared<HeapStorage>(bytes);
}

Tensor make_tensor(std::string name, DType dtype, Shape shape,
                   const std::function<void(std::byte*)>& fill) {
  auto storage = make_heap_storage(element_count(shape) * size_of(dtype));
  fill(storage->data());
  return Tensor(std::move(name), dtype, std::move(shape), std::move(storage), 0);
}

Tensor make_shared_tensor(std::string name, DType dtype, Shape shape,
                          const std::function<void(std::byte*)>& fill) {
  const std::size_t size = element_count(shape) * size_of(dtype);
  Descriptor file(::memfd_create("cambrian-tensor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) throw_system("memfd_create");
  fill_file(file.get(), size, fill);
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0) throw_system("F_ADD_SEALS");
  auto storage = std::make_shared<MappedStorage>(std::move(file), size);
  return Tensor(std::move(name), dtype, std::move(shape), std::move(storage), 0);
}

std::shared_ptr<TensorStorage> map_sealed_storage(int descriptor) {
  Descriptor file(descriptor);
  const int seals = ::fcntl(file.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    throw std::invalid_argument("shared tensor is not a sealed memory file");
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) throw_system("fstat");
  return std::make_shared<MappedStorage>(std::move(file), static_cast<std::size_t>(status.st_size));
}

bool is_finite(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32: return all_finite<float>(tensor);
    case DType::f64: return all_finite<double>(tensor);
    case DType::i32:
    case DType::i64:
    case DType::u8: return true;
  }
  return true;
}

}  // namespace cambrian
