#pragma once

#include <cstddef>

/// Limits of what one program makes and another one takes; the comments of proto/ say the same.
/// Whoever makes a text shortens it, whoever takes one cuts off what is more.
namespace cambrian {

/// Of an evaluation's diagnostics.
inline constexpr std::size_t kDiagnosticsBytesMax = 16 * 1024;
/// Of an evaluation's log: head and tail of the candidate's output together.
inline constexpr std::size_t kLogBytesMax = 64 * 1024;
/// Of an evaluation, where it may be stopped early.
inline constexpr int kRungsMax = 16;

}  // namespace cambrian
