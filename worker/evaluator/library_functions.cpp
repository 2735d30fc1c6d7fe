#include "worker/evaluator/library_functions.hpp"

#include <clang/AST/Attr.h>
#include <clang/AST/Decl.h>
#include <clang/AST/Mangle.h>
#include <clang/AST/RecursiveASTVisitor.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <vector>

namespace cambrian::worker {
namespace {

// Calls `found` for each function with a body, instances of templates included.
class FunctionVisitor final : public clang::RecursiveASTVisitor<FunctionVisitor> {
 public:
  explicit FunctionVisitor(llvm::function_ref<void(clang::FunctionDecl*)> found) : found_(found) {}

  bool shouldVisitTemplateInstantiations() const { return true; }
  bool shouldVisitImplicitCode() const { return true; }
  bool TraverseStmt(clang::Stmt*) { return true; }  // What is local is made with its function.
  bool TraverseTypeLoc(clang::TypeLoc) { return true; }
  bool VisitFunctionDecl(clang::FunctionDecl* function) {
    if (function->doesThisDeclarationHaveABody() && !function->isDependentContext()) {
      found_(function);
    }
    return true;
  }

 private:
  llvm::function_ref<void(clang::FunctionDecl*)> found_;
};

}  // namespace

LibraryFunctions::LibraryFunctions(clang::ASTContext& context, const llvm::Module& module,
                                   unsigned instructions_max,
                                   llvm::function_ref<bool(const std::string&)> is_in_library) {
  clang::ASTNameGenerator names(context);
  std::vector<clang::FunctionDecl*> found;
  const auto take = [&](clang::FunctionDecl* function) {
    if (context.GetGVALinkageForFunction(function) != clang::GVA_DiscardableODR) return;
    if (function->hasAttr<clang::AlwaysInlineAttr>() || function->isImmediateFunction()) return;
    // Constructors and destructors have several.
    std::vector<std::string> symbols = names.getAllManglings(function);
    if (symbols.empty()) symbols.push_back(names.getName(function));  // No member of a class.
    unsigned instructions = 0;
    for (const std::string& symbol : symbols) {
      const llvm::Function* code = module.getFunction(symbol);
      if (code != nullptr) instructions = std::max(instructions, code->getInstructionCount());
    }
    const bool is_small = instructions > 0 && instructions <= instructions_max;
    if (!is_small && llvm::all_of(symbols, is_in_library)) found.push_back(function);
  };
  FunctionVisitor(take).TraverseDecl(context.getTranslationUnitDecl());
  for (clang::FunctionDecl* function : found) {
    functions_.insert(function->getCanonicalDecl());
    for (clang::FunctionDecl* declaration : function->redecls()) {
      if (declaration->hasAttr<clang::NoInlineAttr>()) continue;
      declaration->addAttr(clang::NoInlineAttr::CreateImplicit(context));
    }
  }
}

clang::ExternalASTSource::ExtKind LibraryFunctions::hasExternalDefinitions(
    const clang::Decl* declaration) {
  return functions_.contains(declaration->getCanonicalDecl()) ? EK_Always : EK_ReplyHazy;
}

}  // namespace cambrian::worker
