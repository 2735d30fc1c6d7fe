#include "worker/evaluation/compile_command.hpp"

namespace cambrian::worker {
namespace {

using Arguments = std::vector<std::string>;

void append(Arguments& to, const Arguments& more) { to.insert(to.end(), more.begin(), more.end()); }

std::string in(std::string_view folder, std::string_view name) {
  return std::string(folder) + "/" + std::string(name);
}

std::string torch_prefix(const CompileOptions& options) {
  return options.own_torch ? std::string(kTorchFolder) : "/usr";
}

Arguments common_flags(Compiler compiler, std::string_view optimisation) {
  Arguments flags = compiler_version_command(compiler);
  flags.pop_back();
  // Only errors go back to the code model. Bounds on what a compile may print and compute; the
  // sandbox bounds the rest.
  append(flags, {"-std=c++20", std::string(optimisation), "-pthread", "-w", "-ftemplate-depth=900",
                 "-ftemplate-backtrace-limit=4"});
  // A call of exp() or pow() that a loop does not change can leave it, which took 20 % off the time
  // of evolved bin packing programs. For judges too: pow(x, 0.5) becomes sqrt(x), whose last bit
  // may be another one.
  flags.emplace_back("-fno-math-errno");
  if (compiler == Compiler::clang) {
    append(flags, {"-ferror-limit=20", "-fmacro-backtrace-limit=2", "-fno-color-diagnostics",
                   "-fno-crash-diagnostics"});
  } else {
    append(flags, {"-fmax-errors=20", "-fdiagnostics-color=never"});
  }
  flags.push_back("-I" + in(kSdkFolder, "include"));
  return flags;
}

// LibTorch's own code is optimised already; what is left for the candidate's is call overhead.
std::string_view candidate_optimisation(const CompileOptions& options) {
  return options.libtorch ? "-O1" : "-O2";
}

Arguments torch_flags(const CompileOptions& options) {
  const std::string prefix = torch_prefix(options);
  Arguments flags = {"-isystem", prefix + "/include/torch/csrc/api/include"};
  if (options.own_torch) append(flags, {"-isystem", prefix + "/include"});
  return flags;
}

Arguments torch_libraries(const CompileOptions& options) {
  Arguments flags;
  if (options.own_torch) {
    const std::string folder = torch_prefix(options) + "/lib";
    append(flags, {"-L" + folder, "-Wl,-rpath," + folder});
  }
  // Nothing refers to the CUDA library by name: it registers itself when it is loaded.
  if (options.torch_cuda) append(flags, {"-Wl,--no-as-needed", "-ltorch_cuda", "-lc10_cuda"});
  append(flags, {"-ltorch", "-ltorch_cpu", "-lc10"});
  return flags;
}

Arguments candidate_flags(const CompileOptions& options) {
  Arguments flags = common_flags(options.compiler, candidate_optimisation(options));
  if (options.libtorch) append(flags, torch_flags(options));
  if (options.use_pch) {
    append(flags, {options.compiler == Compiler::clang ? "-include-pch" : "-include",
                   in(kPchFolder, kPchName)});
  }
  append(flags, options.extra);
  return flags;
}

std::string warm_source(const CompileOptions& options) {
  return in(kSdkFolder, options.libtorch ? "warm/libtorch.cpp" : "warm/cpp.cpp");
}

// What a warm evaluator compiles to see which pages of its memory a compile writes to.
std::string rehearsal_source(const CompileOptions& options) {
  return in(kSdkFolder,
            options.libtorch ? "warm/libtorch_rehearsal.cpp" : "warm/cpp_rehearsal.cpp");
}

std::string candidate_library(const CompileOptions& options) {
  return in(kSdkFolder,
            options.libtorch ? "lib/libcambrian_torch_candidate.a" : "lib/libcambrian_candidate.a");
}

}  // namespace

Arguments compiler_version_command(Compiler compiler) {
  return {compiler == Compiler::clang ? "/usr/bin/clang++-19" : "/usr/bin/g++", "-v"};
}

Arguments candidate_object_command(const std::string& source, const std::string& object,
                                   const CompileOptions& options) {
  Arguments command = candidate_flags(options);
  append(command, {"-c", "-o", in(kOutputFolder, object), source});
  return command;
}

Arguments candidate_compile_command(const Arguments& sources, const CompileOptions& options) {
  Arguments command = candidate_flags(options);
  append(command, {"-fuse-ld=mold"});
  append(command, {"-o", in(kOutputFolder, kProgramName)});
  append(command, sources);
  command.push_back(candidate_library(options));
  if (options.libtorch) append(command, torch_libraries(options));
  return command;
}

Arguments judge_compile_command(const JudgeSpec& judge, const CompileOptions& options) {
  Arguments command = common_flags(options.compiler, "-O2");
  append(command, {"-fuse-ld=mold", "-I" + in(kTaskFolder, "judge")});
  if (options.libtorch) append(command, torch_flags(options));
  append(command, {"-o", in(kOutputFolder, kProgramName)});
  for (const std::string& source : judge.sources) command.push_back(in(kTaskFolder, source));
  if (!judge.ready.empty()) command.push_back(in(kSdkFolder, "judges/" + judge.ready + ".cpp"));
  append(command, {in(kSdkFolder, "lib/libcambrian_judge.a")});
  if (options.libtorch) append(command, torch_libraries(options));
  return command;
}

Arguments warm_library_command(const CompileOptions& options) {
  Arguments command = common_flags(options.compiler, candidate_optimisation(options));
  append(command, {"-fPIC", "-shared", "-fuse-ld=mold", "-Wl,-z,lazy"});
  if (options.libtorch) {
    append(command, torch_flags(options));
    // What was inlined everywhere would be missing here, and compiled again for each candidate:
    // 1,100 functions for the smallest model.
    // Constructors have several symbols, of which Clang leaves out what has the same code as
    // another; LibraryFunctions takes only what the library has whole.
    append(command, {"-fno-inline", "-Xclang", "-mno-constructor-aliases"});
  }
  append(command, {"-o", in(kOutputFolder, kWarmLibraryName), warm_source(options),
                   "-Wl,--whole-archive", candidate_library(options), "-Wl,--no-whole-archive"});
  if (options.libtorch) append(command, torch_libraries(options));
  return command;
}

Arguments evaluator_command(const CompileOptions& options) {
  Arguments command = {std::string(kEvaluatorTarget), "--library",
                       in(kWarmFolder, kWarmLibraryName), "--source", warm_source(options),
                       "--rehearsal", rehearsal_source(options),
                       // Hot loops of plain programs want everything inlined that a plain compile
                       // would inline; with LibTorch, the time is spent in LibTorch.
                       "--inline", options.libtorch ? "small" : "all", "--"};
  Arguments flags = common_flags(options.compiler, candidate_optimisation(options));
  command.insert(command.end(), flags.begin() + 1, flags.end());
  append(command, {"-fPIC", "-resource-dir", "/usr/lib/llvm-19/lib/clang/19"});
  if (options.libtorch) append(command, torch_flags(options));
  return command;
}

Arguments candidate_host_command(const std::string& candidate) {
  Arguments command = {std::string(kHostTarget), in(kWarmFolder, kWarmLibraryName)};
  if (!candidate.empty()) command.push_back(candidate);
  return command;
}

Arguments python_host_command(bool torch) {
  Arguments command = {"/usr/bin/python3", in(kSdkFolder, "warm/python.py"),
                       in(kSdkFolder, "lib/libcambrian_python_host.so"), "cambrian_sdk"};
  // An optimiser imports the last one when it is made, which takes longer than all the rest.
  if (torch) append(command, {"torch", "torch._dynamo"});
  return command;
}

std::vector<std::pair<std::string, std::string>> run_environment(int cpus) {
  const std::string threads = std::to_string(cpus);
  std::vector<std::pair<std::string, std::string>> environment = {
      {"OMP_NUM_THREADS", threads},     {"OPENBLAS_NUM_THREADS", threads},
      {"MKL_NUM_THREADS", threads},     {"PYTHONPATH", in(kSdkFolder, "python")},
      {"PYTHONDONTWRITEBYTECODE", "1"}, {"PYTHONUNBUFFERED", "1"}};
#ifdef __x86_64__
  // The same kernels wherever they can run: others round differently.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    environment.emplace_back("ATEN_CPU_CAPABILITY", "avx2");
    environment.emplace_back("OPENBLAS_CORETYPE", "Haswell");
    environment.emplace_back("ONEDNN_MAX_CPU_ISA", "AVX2");
  }
#endif
  return environment;
}

Arguments pch_command(const CompileOptions& options) {
  Arguments command = common_flags(options.compiler, candidate_optimisation(options));
  if (options.libtorch) append(command, torch_flags(options));
  append(command, options.extra);
  append(command, {"-x", "c++-header"});
  std::string output = in(kOutputFolder, kPchName);
  if (options.compiler == Compiler::clang) {
    // Instances made once here are not made again in every candidate. The header's time stamp stays
    // out: the cache key already covers the contents.
    append(command, {"-Xclang", "-fno-pch-timestamp", "-fpch-instantiate-templates"});
  } else {
    // Where g++ looks first when it is told to include the name without the ending.
    output += ".gch";
  }
  append(command, {in(kSdkFolder, options.libtorch ? "include/cambrian/torch_candidate.hpp"
                                                   : "include/cambrian/candidate.hpp"),
                   "-o", output});
  return command;
}

}  // namespace cambrian::worker
