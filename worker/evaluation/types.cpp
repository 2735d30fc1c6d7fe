#include "worker/evaluation/types.hpp"

namespace cambrian::worker {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::success: return "success";
    case Outcome::compile_error: return "compile_error";
    case Outcome::crash: return "crash";
    case Outcome::timeout: return "timeout";
    case Outcome::out_of_memory: return "out_of_memory";
    case Outcome::bad_output: return "bad_output";
    case Outcome::not_finite: return "not_finite";
    case Outcome::resource_exceeded: return "resource_exceeded";
    case Outcome::stopped_early: return "stopped_early";
    case Outcome::infrastructure: return "infrastructure";
  }
  return "infrastructure";
}

std::string_view to_string(Runtime runtime) {
  switch (runtime) {
    case Runtime::libtorch: return "libtorch";
    case Runtime::cpp: return "cpp";
    case Runtime::process: return "process";
  }
  return "process";
}

std::string_view to_string(EvaluatorPath path) {
  switch (path) {
    case EvaluatorPath::compile: return "compile";
    case EvaluatorPath::warm: return "warm";
  }
  return "compile";
}

std::string_view to_string(SandboxLevel level) {
  switch (level) {
    case SandboxLevel::limits: return "limits";
    case SandboxLevel::standard: return "standard";
    case SandboxLevel::strict: return "strict";
  }
  return "limits";
}

std::string_view to_string(Resumption resumption) {
  switch (resumption) {
    case Resumption::none: return "none";
    case Resumption::resumed: return "resumed";
    case Resumption::refused: return "refused";
  }
  return "none";
}

std::string_view to_string(Split split) {
  switch (split) {
    case Split::validation: return "validation";
    case Split::sealed: return "sealed";
  }
  return "validation";
}

}  // namespace cambrian::worker
