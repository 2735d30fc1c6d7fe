#include "worker/evaluator/warm_compiler.hpp"

#include <clang/AST/ASTContext.h>
#include <clang/AST/Decl.h>
#include <clang/AST/DeclCXX.h>
#include <clang/Basic/TargetInfo.h>
#include <clang/CodeGen/BackendUtil.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/TextDiagnosticPrinter.h>
#include <clang/Interpreter/Interpreter.h>
#include <clang/Interpreter/PartialTranslationUnit.h>
#include <dlfcn.h>
#include <llvm/IR/GlobalVariable.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/PassManager.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/Error.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Transforms/IPO/GlobalDCE.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <string_view>
#include <system_error>

#include "worker/evaluator/library_functions.hpp"

namespace cambrian::worker {
namespace {

// Functions of the warm library that are small, such as the operator[] of vectors and accessors:
// calling the others costs nothing beside what they do. Instructions before the optimiser.
constexpr unsigned kSmallInstructionsMax = 12;

// What a plain program is linked with, beside the warm library. Other libraries are loaded too,
// but a plain compile would not find their symbols.
constexpr std::array<std::string_view, 10> kLinkedLibraries = {
    "libtorch.so",  "libtorch_cpu.so", "libtorch_cuda.so", "libc10.so", "libc10_cuda.so",
    "libstdc++.so", "libm.so",         "libgcc_s.so",      "libc.so",   "ld-linux-"};

// One of them must be defined by the candidate.
constexpr std::array<std::string_view, 3> kEntries = {
    "main", "_ZN8cambrian14make_candidateERKNS_5SetupE", "_ZN8cambrian12make_programERKNS_5SetupE"};

bool print(llvm::Error error) {
  llvm::errs() << llvm::toString(std::move(error)) << "\n";
  return false;
}

std::string_view file_name(const char* path) {
  const std::string_view text = path == nullptr ? "" : path;
  return text.substr(text.rfind('/') + 1);
}

// The incremental parser takes statements outside of functions, which a compiler refuses.
bool has_loose_statement(const clang::DeclContext& context) {
  for (const clang::Decl* declaration : context.decls()) {
    if (llvm::isa<clang::TopLevelStmtDecl>(declaration)) return true;
    const auto* inner = llvm::dyn_cast<clang::DeclContext>(declaration);
    const bool is_scope = llvm::isa<clang::NamespaceDecl, clang::LinkageSpecDecl>(declaration);
    if (is_scope && has_loose_statement(*inner)) return true;
  }
  return false;
}

// Prints as clang does, and counts: the incremental parser forgets.
class CountingPrinter final : public clang::TextDiagnosticPrinter {
 public:
  using TextDiagnosticPrinter::TextDiagnosticPrinter;
  void HandleDiagnostic(clang::DiagnosticsEngine::Level level,
                        const clang::Diagnostic& diagnostic) override {
    if (level >= clang::DiagnosticsEngine::Error) ++errors_;
    TextDiagnosticPrinter::HandleDiagnostic(level, diagnostic);
  }
  unsigned errors() const { return errors_; }

 private:
  unsigned errors_ = 0;
};

}  // namespace

struct WarmCompiler::Parts {
  void* library = nullptr;
  std::unique_ptr<clang::Interpreter> interpreter;

  clang::CompilerInstance& compiler() { return *interpreter->getCompilerInstance(); }

  // Where the symbol is defined: a file name, or nothing.
  std::string_view home_of(const std::string& symbol) const {
    void* address = dlsym(library, symbol.c_str());
    Dl_info info{};
    if (address == nullptr || dladdr(address, &info) == 0) return "";
    return file_name(info.dli_fname);
  }
  bool is_in_library(const std::string& symbol) const { return home_of(symbol) == library_name; }
  bool is_linked(const std::string& symbol) const {
    const std::string_view home = home_of(symbol);
    return home == library_name ||
           std::any_of(kLinkedLibraries.begin(), kLinkedLibraries.end(),
                       [home](std::string_view name) { return home.starts_with(name); });
  }

  std::string library_name;
  bool is_inlining_all = false;
  std::string printed;
  llvm::raw_string_ostream stream{printed};
  CountingPrinter* printer = nullptr;  // The diagnostics engine owns it.

  // Prints what was said, without the lines that tell of the incremental parser's own inputs.
  void print_diagnostics() {
    std::istringstream lines(stream.str());
    for (std::string line; std::getline(lines, line);) {
      const bool is_included = line.starts_with("In file included from ");
      const bool is_ours = line.find(" <<< inputs >>>:") != std::string::npos ||
                           line.find(" input_line_") != std::string::npos;
      if (!is_included || !is_ours) llvm::errs() << line << "\n";
    }
    printed.clear();
  }
};

namespace {

// Takes what the warm library has from there: its body is dropped, or kept for inlining alone.
// Variables are taken from any library: a plain program shares them with its libraries, too.
template <class IsInLibrary, class IsLinked>
void use_library(llvm::Module& module, bool is_inlining_all, const IsInLibrary& is_in_library,
                 const IsLinked& is_linked) {
  const auto is_shared = [](const llvm::GlobalObject& object) {
    return !object.isDeclaration() && object.hasLinkOnceLinkage() && object.hasDefaultVisibility();
  };
  for (llvm::Function& function : module) {
    if (!is_shared(function) || !is_in_library(function.getName().str())) continue;
    function.setComdat(nullptr);
    if (!is_inlining_all && function.getInstructionCount() > kSmallInstructionsMax) {
      function.deleteBody();
    } else {
      function.setLinkage(llvm::GlobalValue::AvailableExternallyLinkage);
    }
  }
  for (llvm::GlobalVariable& variable : module.globals()) {
    if (!is_shared(variable) || !is_linked(variable.getName().str())) continue;
    variable.setComdat(nullptr);
    variable.setInitializer(nullptr);
    variable.setLinkage(llvm::GlobalValue::ExternalLinkage);
  }
}

// The start files of a plain link bring it; destructors of static objects are registered with it.
void define_dso_handle(llvm::Module& module) {
  llvm::GlobalVariable* handle = module.getNamedGlobal("__dso_handle");
  if (handle == nullptr || !handle->isDeclaration()) return;
  handle->setInitializer(llvm::Constant::getNullValue(handle->getValueType()));
  handle->setLinkage(llvm::GlobalValue::WeakODRLinkage);
  handle->setVisibility(llvm::GlobalValue::HiddenVisibility);
}

}  // namespace

WarmCompiler::WarmCompiler(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
WarmCompiler::~WarmCompiler() = default;

std::unique_ptr<WarmCompiler> WarmCompiler::make(const Options& options) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::InitializeNativeTargetAsmParser();
  auto parts = std::make_unique<Parts>();
  parts->library = dlopen(options.library.c_str(), RTLD_LAZY | RTLD_GLOBAL);
  if (parts->library == nullptr) {
    std::fprintf(stderr, "warm library: %s\n", dlerror());
    return nullptr;
  }
  parts->library_name = file_name(options.library.c_str());
  parts->is_inlining_all = options.is_inlining_all;
  std::vector<const char*> flags;
  for (const std::string& flag : options.flags) flags.push_back(flag.c_str());
  clang::IncrementalCompilerBuilder builder;
  builder.SetCompilerArgs(flags);
  auto compiler = builder.CreateCpp();
  if (!compiler) {
    print(compiler.takeError());
    return nullptr;
  }
  // Parsing ends with the optimiser, which has its turn later, when it has less to do.
  (*compiler)->getCodeGenOpts().DisableLLVMPasses = true;
  auto interpreter = clang::Interpreter::create(std::move(*compiler));
  if (!interpreter) {
    print(interpreter.takeError());
    return nullptr;
  }
  parts->interpreter = std::move(*interpreter);
  clang::CompilerInstance& instance = parts->compiler();
  auto printer = std::make_unique<CountingPrinter>(parts->stream, &instance.getDiagnosticOpts());
  printer->BeginSourceFile(instance.getLangOpts(), &instance.getPreprocessor());
  parts->printer = printer.get();
  instance.getDiagnostics().setClient(printer.release());
  auto warmed = parts->interpreter->Parse("#include \"" + options.warm_source + "\"\n");
  parts->print_diagnostics();
  if (!warmed) {
    print(warmed.takeError());
    return nullptr;
  }
  if (!options.is_inlining_all) {
    clang::ASTContext& context = instance.getASTContext();
    context.setExternalSource(llvm::makeIntrusiveRefCnt<LibraryFunctions>(
        context, *warmed->TheModule, kSmallInstructionsMax,
        [&parts](const std::string& symbol) { return parts->is_in_library(symbol); }));
  }
  // With the next input Clang walks all top-level names of the one before, to take them out of
  // their scope: once here, instead of in each fork.
  auto next = parts->interpreter->Parse("\n");
  if (!next) {
    print(next.takeError());
    return nullptr;
  }
  return std::unique_ptr<WarmCompiler>(new WarmCompiler(std::move(parts)));
}

WarmCompiler::Outcome WarmCompiler::compile(const std::string& source, const std::string& object) {
  clang::CompilerInstance& compiler = parts_->compiler();
  auto parsed = parts_->interpreter->Parse("#include \"" + source + "\"\n");
  const unsigned errors = parts_->printer->errors();
  parts_->print_diagnostics();
  if (errors > 0 || !parsed) {
    llvm::consumeError(parsed.takeError());
    // The driver's last line.
    if (errors > 0)
      llvm::errs() << errors << (errors == 1 ? " error" : " errors") << " generated.\n";
    return errors > 0 ? Outcome::failed : Outcome::unsupported;
  }
  if (has_loose_statement(*parsed->TUPart)) return Outcome::unsupported;
  llvm::Module& module = *parsed->TheModule;
  use_library(
      module, parts_->is_inlining_all,
      [this](const std::string& name) { return parts_->is_in_library(name); },
      [this](const std::string& name) { return parts_->is_linked(name); });
  // What only the bodies called that are gone: the optimiser would work on each.
  llvm::ModuleAnalysisManager analyses;
  llvm::GlobalDCEPass().run(module, analyses);
  define_dso_handle(module);

  std::error_code error;
  auto file = std::make_unique<llvm::raw_fd_ostream>(object, error);
  if (error) {
    std::fprintf(stderr, "object file: %s\n", error.message().c_str());
    return Outcome::failed;
  }
  compiler.getCodeGenOpts().DisableLLVMPasses = false;
  clang::EmitBackendOutput(compiler.getDiagnostics(), compiler.getHeaderSearchOpts(),
                           compiler.getCodeGenOpts(), compiler.getTargetOpts(),
                           compiler.getLangOpts(), compiler.getTarget().getDataLayoutString(),
                           &module, clang::Backend_EmitObj,
                           compiler.getFileManager().getVirtualFileSystemPtr(), std::move(file));
  parts_->print_diagnostics();
  return compiler.getDiagnostics().hasErrorOccurred() ? Outcome::failed : Outcome::compiled;
}

bool WarmCompiler::is_complete(const std::string& shared_object) const {
  auto opened = llvm::object::ObjectFile::createObjectFile(shared_object);
  if (!opened) return print(opened.takeError());
  const auto* elf = llvm::dyn_cast<llvm::object::ELFObjectFileBase>(opened->getBinary());
  if (elf == nullptr) return false;
  bool has_entry = false;
  for (const llvm::object::ELFSymbolRef& symbol : elf->getDynamicSymbolIterators()) {
    auto name = symbol.getName();
    auto flags = symbol.getFlags();
    if (!name || !flags) {
      llvm::consumeError(name.takeError());
      llvm::consumeError(flags.takeError());
      return false;
    }
    const bool is_missing = (*flags & llvm::object::SymbolRef::SF_Undefined) != 0;
    const bool is_weak = (*flags & llvm::object::SymbolRef::SF_Weak) != 0;
    if (is_missing && !is_weak && !name->empty() && !parts_->is_linked(name->str())) return false;
    const std::string_view text(name->data(), name->size());
    has_entry |= !is_missing && std::find(kEntries.begin(), kEntries.end(), text) != kEntries.end();
  }
  return has_entry;
}

}  // namespace cambrian::worker
