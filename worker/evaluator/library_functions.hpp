#pragma once

#include <clang/AST/ASTContext.h>
#include <clang/AST/ExternalASTSource.h>
#include <llvm/ADT/DenseSet.h>
#include <llvm/ADT/STLFunctionalExtras.h>
#include <llvm/IR/Module.h>

#include <string>

namespace cambrian::worker {

/// Tells Clang which functions of the headers exist compiled elsewhere, so that none of their code
/// is made again for each candidate: of 1,200 functions that the smallest model of LibTorch uses,
/// 1,100 are such ones.
class LibraryFunctions final : public clang::ExternalASTSource {
 public:
  /// Takes all functions of which `is_in_library` knows every symbol, but for those that are better
  /// inlined: of `instructions_max` or fewer in `module`, the code of the headers. Marks them in
  /// the syntax tree as not to be inlined.
  LibraryFunctions(clang::ASTContext& context, const llvm::Module& module,
                   unsigned instructions_max,
                   llvm::function_ref<bool(const std::string& symbol)> is_in_library);

  ExtKind hasExternalDefinitions(const clang::Decl* declaration) override;

 private:
  llvm::DenseSet<const clang::Decl*> functions_;  // Their canonical declarations.
};

}  // namespace cambrian::worker
