#include "cambrian/data_files.hpp"

#include <zlib.h>

#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>

namespace cambrian {
namespace {

constexpr std::size_t kReadStepBytes = std::size_t{1} << 20;

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& reason) {
  throw std::runtime_error("cannot read " + path.string() + ": " + reason);
}

Tensor tensor_of(const std::vector<std::uint8_t>& content, std::size_t offset, DType dtype,
                 Shape shape) {
  return make_tensor("data", dtype, std::move(shape), [&](std::byte* out) {
    std::memcpy(out, content.data() + offset, content.size() - offset);
  });
}

// The text behind `'key':` in the header of a NumPy file, up to the next comma outside brackets.
std::optional<std::string> header_field(const std::string& header, const std::string& key) {
  const auto at = header.find("'" + key + "':");
  if (at == std::string::npos) return std::nullopt;
  std::string value;
  int depth = 0;
  for (std::size_t i = at + key.size() + 3; i < header.size(); ++i) {
    const char c = header[i];
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if ((c == ',' || c == '}') && depth == 0) break;
    if (c != ' ' && c != '\'') value += c;
  }
  return value;
}

std::optional<DType> dtype_from_numpy(const std::string& text) {
  if (text == "<f4") return DType::f32;
  if (text == "<f8") return DType::f64;
  if (text == "<i4") return DType::i32;
  if (text == "<i8") return DType::i64;
  if (text == "|u1") return DType::u8;
  return std::nullopt;
}

// `(60000,28,28)` or `(5,)` or `()`.
std::optional<Shape> shape_from_numpy(const std::string& text) {
  Shape shape;
  std::size_t i = 1;
  while (i < text.size() && text[i] != ')') {
    std::size_t used = 0;
    if (text[i] < '0' || text[i] > '9' || text.size() > 256) return std::nullopt;
    shape.push_back(std::stoll(text.substr(i), &used));
    i += used;
    if (i < text.size() && text[i] == ',') ++i;
  }
  return shape;
}

template <class To>
std::vector<To> convert(const Tensor& tensor) {
  std::vector<To> out(tensor.size());
  const auto fill = [&](auto values) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<To>(values[i]);
  };
  switch (tensor.dtype()) {
    case DType::f32: fill(tensor.values<float>()); break;
    case DType::f64: fill(tensor.values<double>()); break;
    case DType::i32: fill(tensor.values<std::int32_t>()); break;
    case DType::i64: fill(tensor.values<std::int64_t>()); break;
    case DType::u8: fill(tensor.values<std::uint8_t>()); break;
  }
  return out;
}

}  // namespace

std::vector<std::uint8_t> read_data_file(const std::filesystem::path& path) {
  // zlib reads files that are not compressed as they are.
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(::gzopen(path.c_str(), "rb"), ::gzclose);
  if (!file) refuse(path, "no such file, or not readable");
  ::gzbuffer(file.get(), 1 << 18);
  std::vector<std::uint8_t> content;
  std::size_t filled = 0;
  for (;;) {
    content.resize(filled + kReadStepBytes);
    const int got = ::gzread(file.get(), content.data() + filled, kReadStepBytes);
    if (got < 0) refuse(path, "damaged or not readable");
    filled += static_cast<std::size_t>(got);
    if (filled > kDataFileBytesMax) refuse(path, "larger than the limit");
    if (static_cast<std::size_t>(got) < kReadStepBytes) break;
  }
  int status = Z_OK;
  ::gzerror(file.get(), &status);
  if (status != Z_OK) refuse(path, "ends too early");
  content.resize(filled);
  return content;
}

Tensor read_idx(const std::filesystem::path& path) {
  const auto content = read_data_file(path);
  constexpr std::uint8_t kUnsignedByte = 0x08;
  if (content.size() < 4 || content[0] != 0 || content[1] != 0 || content[2] != kUnsignedByte) {
    refuse(path, "not an IDX file of bytes");
  }
  const std::size_t rank = content[3];
  const std::size_t offset = 4 + 4 * rank;
  if (rank > kRankMax || content.size() < offset) refuse(path, "bad number of dimensions");
  Shape shape;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::uint8_t* at = content.data() + 4 + 4 * i;
    shape.push_back(std::int64_t{at[0]} << 24 | at[1] << 16 | at[2] << 8 | at[3]);
  }
  if (element_count(shape) != content.size() - offset) refuse(path, "size does not fit the header");
  return tensor_of(content, offset, DType::u8, std::move(shape));
}

Tensor read_npy(const std::filesystem::path& path) {
  const auto content = read_data_file(path);
  if (content.size() < 12 || std::memcmp(content.data(), "\x93NUMPY", 6) != 0) {
    refuse(path, "not a NumPy file");
  }
  const bool is_first = content[6] == 1;
  std::size_t length = std::size_t{content[8]} | std::size_t{content[9]} << 8;
  if (!is_first) length |= std::size_t{content[10]} << 16 | std::size_t{content[11]} << 24;
  const std::size_t start = is_first ? 10 : 12;
  if (length > content.size() - start) refuse(path, "ends in its header");
  const std::string header(content.begin() + static_cast<std::ptrdiff_t>(start),
                           content.begin() + static_cast<std::ptrdiff_t>(start + length));
  if (header_field(header, "fortran_order") != "False") refuse(path, "not in C order");
  const auto dtype = dtype_from_numpy(header_field(header, "descr").value_or(""));
  const auto shape = shape_from_numpy(header_field(header, "shape").value_or("(x)"));
  if (!dtype) refuse(path, "element type is not f4, f8, i4, i8 or u1");
  if (!shape) refuse(path, "bad shape");
  if (element_count(*shape) * size_of(*dtype) != content.size() - start - length) {
    refuse(path, "size does not fit the header");
  }
  return tensor_of(content, start + length, *dtype, *shape);
}

std::vector<float> to_floats(const Tensor& tensor) { return convert<float>(tensor); }

std::vector<std::int64_t> to_integers(const Tensor& tensor) {
  return convert<std::int64_t>(tensor);
}

}  // namespace cambrian
