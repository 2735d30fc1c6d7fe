"""Reads sources for the rules of tidy: code without comments, functions and their lengths."""

import ast
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONTROL = {"if", "for", "while", "switch", "catch", "else", "do", "try", "return"}
# What may stand between a parameter list and the body of a function.
AFTER_PARAMETERS = re.compile(
    r"\)(\s*(const|noexcept(\s*\([^()]*\))?|override|final|mutable|volatile|&&?|try)(?!\w))*"
    r"(\s*->\s*[\w:<>,&*\s]+)?\s*$")


@dataclass(frozen=True)
class File:
    path: str  # Relative to the repository, with forward slashes.
    text: str

    @property
    def lines(self):
        return self.text.splitlines()

    @property
    def parts(self):
        return self.path.split("/")


@dataclass(frozen=True)
class Function:
    name: str
    line: int
    length: int


def read_files(repository):
    """All text files that git knows or would add, as File objects."""
    listed = subprocess.run(
        ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"], check=True, capture_output=True).stdout.decode()
    files = []
    for name in sorted(set(filter(None, listed.split("\0")))):
        path = Path(repository) / name
        if path.is_file() and not path.is_symlink():
            try:
                files.append(File(name, path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue  # A picture or another binary: no rule is about it.
    return files


CPP_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.DOTALL)


def blank_cpp(text):
    """C++ with comments and the contents of strings blanked; every line keeps its number."""

    def blank(match):
        found = match.group(0)
        newlines = "\n" * found.count("\n")
        if found.startswith(("//", "/*")):
            return " " + newlines
        return '""' + newlines if found[0] in 'R"' else "' '"

    def keep_includes(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if match.group(0)[0] == '"' and text[start:match.start()].lstrip().startswith("#include"):
            return match.group(0)
        return blank(match)

    return CPP_TOKEN.sub(keep_includes, text)


def cpp_functions(text):
    """Outermost function bodies of C++. A body is a brace behind a parameter list."""
    code = re.sub(r"(?m)^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group(0).count("\n"),
                  blank_cpp(text))
    found, opened, body, since = [], [], None, 0
    for position, sign in enumerate(code):
        if sign == "{":
            # clang-format puts a space before a block, and none before an initialiser.
            is_block = code[position - 1:position].isspace()
            head = code[since:position]
            if body is None and is_block and is_function_head(head):
                body = (len(opened), code.count("\n", 0, position) + 1, function_name(head))
            opened.append(None if is_block else since)
            since = position + 1
        elif sign == "}" and opened:
            before = opened.pop()
            since = position + 1 if before is None else before
            if body is not None and len(opened) == body[0]:
                end = code.count("\n", 0, position) + 1
                found.append(Function(body[2], body[1], end - body[1] + 1))
                body = None
        elif sign == ";":
            since = position + 1
    return found


def is_function_head(head):
    # The initialisers of a constructor follow its parameters: cut them off.
    head = re.sub(r"\)\s*:(?!:).*$", ") ", head, flags=re.DOTALL)
    if not AFTER_PARAMETERS.search(head):
        return False
    return function_name(head).split("::")[-1] not in CONTROL


def function_name(head):
    match = re.search(r"([\w:~]+|operator[^\w\s(]+)\s*\(", head)
    return match.group(1) if match else "?"


def python_functions(text):
    nodes = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [Function(node.name, node.lineno, node.end_lineno - node.lineno + 1)
            for node in ast.walk(ast.parse(text)) if isinstance(node, nodes)]
