#pragma once

#include "codegen-client/domain/edit.hpp"
#include "codegen-client/domain/program.hpp"

namespace cambrian::codegen {

/// The parent's files after the answer's edits, all of them or none. Edits are applied in order,
/// each to the result of the one before. Only lines between EVOLVE-BLOCK marks change, the marks
/// stay, and everything outside of them stays byte for byte, also when whole files are given.
/// `parent` holds every file that may change. Pure; any thread; at worst some 100 ms for a file of
/// 64 KiB.
Judged<Files> apply_answer(const Answer& answer, const Files& parent, const Task& task);

}  // namespace cambrian::codegen
