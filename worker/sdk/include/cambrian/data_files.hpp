#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cambrian/tensor.hpp"

namespace cambrian {

/// Largest content of a data file, after decompression.
inline constexpr std::size_t kDataFileBytesMax = std::size_t{1} << 30;

/// A file's content, decompressed where its name ends in `.gz`. Throws std::runtime_error with the
/// path and the reason.
std::vector<std::uint8_t> read_data_file(const std::filesystem::path& path);

/// A file in the IDX format of the MNIST family, of unsigned bytes; `.gz` or plain. Throws
/// std::runtime_error.
Tensor read_idx(const std::filesystem::path& path);

/// A NumPy file (format 1 to 3, C order, little endian) of float32, float64, int32, int64 or uint8;
/// `.npy.gz` too. Throws std::runtime_error.
Tensor read_npy(const std::filesystem::path& path);

/// The elements as float32 or int64, whatever type they have in the file.
std::vector<float> to_floats(const Tensor& tensor);
std::vector<std::int64_t> to_integers(const Tensor& tensor);

}  // namespace cambrian
