// cambrian-evaluator --library FILE --source FILE --rehearsal FILE --inline small|all -- CLANG
// FLAGS
//
// Holds a compiler that has parsed the headers of all candidates, and forks it for each candidate:
// the fork is shut up in a sandbox before it reads the sources, compiles them, links a shared
// object, and ends. The sources are in /src.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "worker/adapters/sandbox/serve_forks.hpp"
#include "worker/evaluator/source_archive.hpp"
#include "worker/evaluator/warm_compiler.hpp"

namespace {

using namespace cambrian::worker;
using Outcome = WarmCompiler::Outcome;

constexpr const char* kSourceFolder = "/src";
constexpr const char* kLinked = "/tmp/program.so";
constexpr const char* kRehearsed = "/tmp/rehearsal.o";

// The fork, and one of it for each source after the first: all hold the compiler's memory.
constexpr int kProcesses = 2;

int exit_code(Outcome outcome) {
  switch (outcome) {
    case Outcome::compiled: return kCompiled;
    case Outcome::failed: return kCompileFailed;
    case Outcome::unsupported: return kCompileUnsupported;
  }
  return kCompileUnsupported;
}

// Ends as the child did: a signal says which limit it met.
int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : kCompileUnsupported;
}

bool is_object(const std::string& name) { return name.starts_with(kFixedObjectFolder); }

// Objects are as they are. A source that comes first must not be seen by the next one, so each but
// the last gets a fork.
int compile_all(WarmCompiler& compiler, const std::vector<std::string>& inputs,
                std::vector<std::string>& objects) {
  int result = kCompiled;
  const auto last = std::find_if_not(inputs.rbegin(), inputs.rend(), is_object).base();
  for (auto input = inputs.begin(); input != inputs.end(); ++input) {
    const std::string path = std::string(kSourceFolder) + "/" + *input;
    if (is_object(*input)) {
      objects.push_back(path);
      continue;
    }
    objects.push_back("/tmp/" + std::to_string(objects.size()) + ".o");
    int code = kCompiled;
    if (input + 1 == last) {
      code = exit_code(compiler.compile(path, objects.back()));
    } else {
      const pid_t child = fork();
      if (child == 0) _exit(exit_code(compiler.compile(path, objects.back())));
      code = child < 0 ? kCompileUnsupported : wait_for(child);
    }
    if (code == kCompileUnsupported || result == kCompiled) result = code;
  }
  return result;
}

bool link_objects(const std::vector<std::string>& objects) {
  std::vector<std::string> command = {"/usr/bin/mold", "-shared", "-Bsymbolic",
                                      "--threads=1",   "-o",      kLinked};
  command.insert(command.end(), objects.begin(), objects.end());
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t linker = -1;
  if (posix_spawn(&linker, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return false;
  return wait_for(linker) == 0;
}

bool copy_result(int descriptor) {
  std::ifstream in(kLinked, std::ios::binary);
  char buffer[64 << 10];
  while (in.read(buffer, sizeof buffer), in.gcount() > 0) {
    if (write(descriptor, buffer, static_cast<std::size_t>(in.gcount())) != in.gcount()) {
      return false;
    }
  }
  return true;
}

int build(WarmCompiler& compiler, const ForkedProgram& program) {
  if (program.output < 0 || chdir(kSourceFolder) != 0) return kCompileUnsupported;
  std::vector<std::string> objects;
  const int code = compile_all(compiler, program.arguments, objects);
  if (code != kCompiled) return code;
  // What the linker finds is said better by that of a plain compile.
  if (!link_objects(objects) || !compiler.is_complete(kLinked)) return kCompileUnsupported;
  return copy_result(program.output) ? kCompiled : kCompileUnsupported;
}

}  // namespace

int main(int argc, char** argv) {
  WarmCompiler::Options options;
  std::string rehearsal;
  int i = 1;
  for (; i + 1 < argc && std::strcmp(argv[i], "--") != 0; i += 2) {
    const std::string name = argv[i];
    if (name == "--library") options.library = argv[i + 1];
    if (name == "--source") options.warm_source = argv[i + 1];
    if (name == "--rehearsal") rehearsal = argv[i + 1];
    if (name == "--inline") options.is_inlining_all = std::string_view(argv[i + 1]) == "all";
  }
  for (++i; i < argc; ++i) options.flags.emplace_back(argv[i]);
  if (options.library.empty() || options.warm_source.empty()) {
    std::fprintf(stderr, "cambrian-evaluator: only for cambrian-worker\n");
    return 125;
  }
  const auto compiler = WarmCompiler::make(options);
  if (!compiler) return 1;
  const auto rehearse = [&] {
    if (compiler->compile(rehearsal, kRehearsed) != Outcome::compiled) _exit(1);
    unlink(kRehearsed);
  };
  const ServeOptions serve = {
      .processes_not_counted = kProcesses, .without_new_huge_pages = true, .rehearse = rehearse};
  return serve_forks(serve,
                     [&](const ForkedProgram& program) { return build(*compiler, program); });
}
