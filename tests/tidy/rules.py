"""The rules: each takes the files and yields (path, line, rule, message)."""

import posixpath
import re

import source

LINE_COLUMNS_MAX = 100
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

CPP = (".cpp", ".hpp")
PROGRAMS = ("coordinator", "worker", "codegen-client/model_server", "codegen-client", "cli")
DOMAIN = {"search", "evaluation", "domain"}
# Pure parts of common: values in, values out.
PURE = ("common/base/", "common/digest/", "common/source/", "common/statistics/")
STANDARD_NOT_FOR_DOMAIN = {
    "thread", "mutex", "shared_mutex", "condition_variable", "future", "atomic", "stop_token",
    "semaphore", "filesystem", "fstream", "iostream", "random", "cstdio", "ctime"}

# Pure libraries that one other program may use: (program, directory). A replay has to run the very
# search that it checks.
LENT = {("cli", "coordinator/journal")}

# Which directories may include a driver's headers. The tests and tasks/ may include everything
# but what names them here; "main" stands for the files at the top of a program.
PROTOBUF = ("adapters/grpc", "common/rpc", "common/agent", "common/blob", "common/config",
            "common/task", "cli", "main")
DRIVERS = [
    (re.compile(r"^pqxx/"), ("adapters/postgres",)),
    (re.compile(r"^(grpc|grpcpp)/"), PROTOBUF),
    (re.compile(r"\.pb\.h$|^google/protobuf/"), PROTOBUF),
    (re.compile(r"^(torch|ATen|c10)/"), ("worker/evaluator", "worker/sdk", "tasks")),
    (re.compile(r"^prometheus/"), ("common/metrics",)),
    (re.compile(r"^spdlog/"), ("common/log",)),
    (re.compile(r"^yaml-cpp/"), ("common/config",)),
    (re.compile(r"^curl/"), ("adapters/openai",)),
    (re.compile(r"^openssl/"), ("common/digest", "common/certificates")),
    (re.compile(r"^boost/beast"),
     ("common/compiled", "adapters/http", "codegen-client/model_server")),
    (re.compile(r"^CLI/"), ("common/compiled", "cli", "main")),
    (re.compile(r"^(seccomp\.h|sched\.h|sys/mount\.h|linux/(landlock|seccomp)\.h)$"),
     ("adapters/sandbox", "worker/evaluator", "worker/sdk")),
    (re.compile(r"^sys/prctl\.h$"), ("adapters/sandbox", "worker/evaluator", "worker/sdk", "main")),
]

# (rule, pattern in code, where it is forbidden, why)
def everywhere(file):
    return True


def in_headers(file):
    return file.path.endswith(".hpp")


def in_domain(file):
    return layer(file.path)[1] == "domain"


def in_domain_or_app(file):
    return layer(file.path)[1] in ("domain", "app")


def not_in_tests(file):
    return file.parts[0] != "tests"


WORDS = [
    ("detached", r"\basio::detached\b", everywhere, "a detached coroutine loses its error"),
    ("sleep", r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<![\w.>:])sleep\s*\(", not_in_tests,
     "wait for an event with a deadline, or use a timer"),
    ("random", r"\bstd::(shuffle|sample|\w+_distribution|mt19937(_64)?|default_random_engine)\b"
     r"|(?<![\w.>:])s?rand\s*\(", everywhere,
     "use common/base/rng.hpp: the same on every platform"),
    ("random", r"\bstd::random_device\b", in_domain, "randomness comes in as a seed"),
    ("clock", r"_clock::now\s*\(|(?<![\w.>:])(time|clock|gettimeofday|clock_gettime)\s*\(",
     in_domain, "time comes in as a value"),
    ("environment", r"\bgetenv\s*\(", in_domain_or_app, "read the environment in main"),
    ("throw", r"\bthrow\b", in_domain_or_app, "return a Result"),
    # A private constructor needs `std::unique_ptr<T>(new T)`.
    ("new", r"^(?!.*_ptr<).*\bnew\s+[A-Za-z_(]|(?<!=)\s\bdelete(\[\])?\s+[A-Za-z_*(]", not_in_tests,
     "use a value, std::optional or std::make_unique"),
    ("name", r"\b(?:class|struct)\s+\w+(?:Manager|Helper|Utils|Common|Data)\b", everywhere,
     "name it for what it is"),
    ("namespace", r"\busing\s+namespace\s+(?!std::(chrono_)?literals|std::chrono_literals"
     r"|asio::experimental|boost::asio::experimental)", in_headers,
     "a header must not open a namespace for others"),
]
ALLOW = re.compile(r"(?://|#)\s*tidy: allow\((\w+)\) \S")


def is_cpp(file):
    return file.path.endswith(CPP)


def layer(path):
    """(program, layer, technology) of a source file."""
    if path.startswith("common/"):
        return ("common", "base" if path.startswith("common/base/") else "common", "")
    program = next((p for p in PROGRAMS if path.startswith(p + "/")), path.split("/")[0])
    inner = path[len(program) + 1:].split("/")[:-1] if path.startswith(program + "/") else []
    if not inner:
        return (program, "main", "")
    if inner[0] in DOMAIN:
        return (program, "domain", "")
    if inner[0] in ("ports", "app"):
        return (program, inner[0], "")
    if inner[0] == "adapters":
        return (program, "adapter", inner[1] if len(inner) > 1 else "")
    return (program, "other", inner[0])


def includes(file):
    """(line, name, is_angled) of each include outside of comments."""
    for number, line in enumerate(source.blank_cpp(file.text).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(2), match.group(1) == "<"


def allowed_here(file, number, rule):
    """A line that ends with `// tidy: allow(rule) reason` is left alone."""
    match = ALLOW.search(file.lines[number - 1])
    return bool(match) and match.group(1) == rule


def own_include_problem(file, name):
    """Why a file may not include one of our own headers; None if it may."""
    program, kind, technology = layer(file.path)
    if "/" not in name or program in ("tests", "tasks"):
        return None
    other_program, other_kind, other_technology = layer(name)
    if other_program == "tests":
        return "sources must not include tests"
    if other_program in ("common", *PROGRAMS) and kind in ("base", "domain"):
        pure = ("common/base/",) if kind == "base" else PURE
        own_domain = kind == "domain" and other_program == program and other_kind == "domain"
        return None if own_domain or name.startswith(pure) else f"{kind} must not use it"
    if other_program == "common":
        if kind == "ports" and not name.startswith(PURE):
            return "ports use the domain and common/base"
        if kind == "app" and not name.startswith((*PURE, "common/aio/", "common/log/")):
            return "app uses ports, domain, common/aio and common/log"
        if program == "common" and kind == "base":
            return "base must not use it"
        return None
    if other_program not in PROGRAMS:
        return None
    if (program, posixpath.dirname(name)) in LENT:
        return None
    if other_program != program:
        return "programs share only proto/ and common/"
    allowed = {"ports": {"domain", "ports"}, "app": {"domain", "ports", "app"}}.get(kind)
    if allowed and other_kind not in allowed:
        return f"{kind} must not use {other_kind}"
    if kind == "adapter" and other_kind in ("app", "main"):
        return "an adapter must not use the app"
    if kind == "adapter" and other_kind == "adapter" and other_technology != technology:
        return "an adapter must not use another adapter"
    return None


def driver_problem(file, name):
    program, kind, _ = layer(file.path)
    if program == "tests":
        return None
    for pattern, places in DRIVERS:
        if pattern.search(name):
            if kind == "main" and "main" in places and program in PROGRAMS:
                return None
            if any(f"/{place}/" in f"/{file.path}" for place in places if place != "main"):
                return None
            return f"only {', '.join(places)} may include it"
    if kind in ("base", "domain"):
        if kind == "domain" and name in STANDARD_NOT_FOR_DOMAIN:
            return "domain has no threads, files, clocks or hidden randomness"
        if "/" in name and not name.startswith("tl/"):
            return f"{kind} uses the standard library and common/base only"
    if kind == "ports" and "/" in name and not name.startswith(("tl/", "boost/asio/awaitable")):
        return "ports use asio::awaitable and nothing else from outside"
    return None


def layers(files):
    for file in filter(is_cpp, files):
        for number, name, is_angled in includes(file):
            if allowed_here(file, number, "layer"):
                continue
            is_ours = not is_angled and not name.endswith(".pb.h")
            problem = own_include_problem(file, name) if is_ours else driver_problem(file, name)
            if problem:
                yield file.path, number, "layer", f"includes {name}: {problem}"


def words(files):
    for file in filter(is_cpp, files):
        code = source.blank_cpp(file.text).splitlines()
        for rule, pattern, applies, why in WORDS:
            if not applies(file):
                continue
            for number, line in enumerate(code, 1):
                if rule == "new" and number > 1 and "_ptr<" in code[number - 2]:
                    continue  # std::unique_ptr<T> name( at the end of the line before.
                match = re.search(pattern, line)
                if match and not allowed_here(file, number, rule):
                    yield file.path, number, rule, f"`{match.group(0).strip()}`: {why}"


def sizes(files):
    """Excess in lines and columns, as (path, line, rule, message, key, value)."""
    for file in files:
        if file.path.endswith((*CPP, ".py", ".proto", ".sql", ".sh")):
            if file.path.startswith("tests/data/"):
                continue
            for number, line in enumerate(file.lines, 1):
                if len(line) > LINE_COLUMNS_MAX and "http" not in line:
                    yield (file.path, number, "columns", f"{len(line)} columns, at most "
                           f"{LINE_COLUMNS_MAX}", None, None)
            if len(file.lines) > FILE_LINES_MAX:
                yield (file.path, 1, "file-lines", f"{len(file.lines)} lines, at most "
                       f"{FILE_LINES_MAX}", f"file-lines {file.path}", len(file.lines))
        functions = []
        if is_cpp(file):
            functions = source.cpp_functions(file.text)
        elif file.path.endswith(".py"):
            functions = source.python_functions(file.text)
        for function in functions:
            if function.length > FUNCTION_LINES_MAX:
                yield (file.path, function.line, "function-lines",
                       f"{function.name} has {function.length} lines, at most "
                       f"{FUNCTION_LINES_MAX}",
                       f"function-lines {file.path} {function.name}", function.length)


def headers(files):
    for file in files:
        if file.path.endswith(".hpp") and not file.text.startswith("#pragma once\n"):
            yield file.path, 1, "pragma", "a header begins with #pragma once"


def todos(files):
    for file in files:
        if file.path.endswith((*CPP, ".py", ".proto", ".sql", ".txt", ".sh")):
            for number, line in enumerate(file.lines, 1):
                if re.search(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\):)", line):
                    if not file.path.startswith("tests/tidy/"):
                        yield file.path, number, "todo", "write TODO(#issue): what and when"


def cmake(files):
    for file in files:
        if file.path.endswith("CMakeLists.txt"):
            for number, line in enumerate(file.lines, 1):
                if re.search(r"file\s*\(\s*GLOB", line):
                    yield file.path, number, "glob", "list the sources"


# Directories whose parts are described by the README.md at their top.
DESCRIBED_AT_TOP = ("tests/", "proto/", "tasks/*/", "worker/sdk/", "deploy/", "docs/")


def readmes(files):
    paths = {file.path for file in files}
    directories = {posixpath.dirname(path) for path in paths
                   if path.endswith((*CPP, ".proto", ".py", ".sql", ".yaml", ".yml"))}
    for directory in sorted(directories):
        if not directory or directory.startswith("."):
            continue
        parts = directory.split("/")
        for top in DESCRIBED_AT_TOP:
            pattern = top.strip("/").split("/")
            if len(parts) > len(pattern) and all(
                    p in ("*", q) for p, q in zip(pattern, parts)):
                directory = "/".join(parts[:len(pattern)])
                break
        if f"{directory}/README.md" not in paths:
            yield f"{directory}/README.md", 1, "readme", "missing: purpose, main types, tests"


def test_names(files):
    kinds = r"\[(unit|contract|integration|system|bench)\]"
    for file in files:
        if file.parts[0] != "tests" or not file.path.endswith(".cpp"):
            continue
        for match in re.finditer(
                r'\b(?:TEMPLATE_)?TEST_CASE\(\s*"((?:\\.|[^"\\])*)"(?:\s*"(?:\\.|[^"\\])*")*'
                r'\s*,\s*"([^"]*)"', file.text):
            number = file.text.count("\n", 0, match.start()) + 1
            if ": " not in match.group(1):
                yield file.path, number, "test-name", "write \"subject: what it does\""
            if not re.search(kinds, match.group(2)):
                yield file.path, number, "test-name", "the tags name no kind of test"


def links(files):
    """Relative links of Markdown files lead somewhere."""
    paths = {file.path for file in files}
    folders = {"/".join(path.split("/")[:depth])
               for path in paths for depth in range(1, path.count("/") + 1)}
    for file in files:
        if not file.path.endswith(".md"):
            continue
        text = re.sub(r"```.*?```|`[^`\n]*`", lambda m: "\n" * m.group(0).count("\n"), file.text,
                      flags=re.DOTALL)
        for match in re.finditer(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
            target = match.group(1)
            if re.match(r"[a-z]+:", target):
                continue
            full = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), target))
            if full not in paths and full not in folders and full != ".":
                number = text.count("\n", 0, match.start()) + 1
                yield file.path, number, "link", f"leads nowhere: {target}"


def packages(files):
    """deploy/packages.txt is the one list of Debian packages."""
    by_path = {file.path: file for file in files}
    listed = by_path.get("deploy/packages.txt")
    seen = set()
    for number, line in enumerate(listed.lines if listed else [], 1):
        entry = line.split("#")[0].split()
        if entry and (len(entry) != 2 or entry[0] not in ("build", "runtime", "test")):
            yield listed.path, number, "packages", "a line is: set, package"
        elif entry and tuple(entry) in seen:
            yield listed.path, number, "packages", f"twice: {entry[1]}"
        seen.add(tuple(entry))
    for file in files:
        if not file.path.startswith(("scripts/", ".ci/", "deploy/")) or file.path.endswith(".md"):
            continue
        for number, line in enumerate(file.lines, 1):
            named = re.search(r"apt-get install\s+((?:-\S+\s+)*)([a-z0-9][\w.+-]*)", line)
            if named and not allowed_here(file, number, "packages"):
                yield (file.path, number, "packages",
                       f"names {named.group(2)}: read deploy/packages.txt instead")


PROTO_FIELD = re.compile(
    r"^\s*(?P<label>optional |repeated )?(?:map<\w+, (?P<value>[\w.]+)>|(?P<type>[\w.]+))"
    r" \w+ = \d+(?: \[.*\])?;")
PROTO_NUMBERS = {"double", "float", "int32", "int64", "uint32", "uint64",
                 "google.protobuf.Duration"}
# What a comment has to say, by the kind of its field.
PROTO_RANGE = (re.compile(r"\d|\bfinite\b"), "says no range: `1 to 64`, `0 or more`, `finite`")
PROTO_FORM = (
    re.compile(r"\d|\b(always|hex|paths?|identifier|(resource )?name (of|for people)|names of"
               r"|host:port|text|words?|line|JSON|connection string|as in)\b", re.IGNORECASE),
    "says neither limit nor form: `at most 256 bytes`, `in hex`, `inner path`, `name of ...`")
PROTO_ABSENCE = (re.compile(r"\b(Absent|Required|Always set|UNSPECIFIED)\b", re.IGNORECASE),
                 "does not say what absence means: `Absent: ...`, `Required.`, `Always set.`")


def proto_demands(field):
    """What the comment of a field must match, and what is wrong where it does not."""
    kind = field["value"] or field["type"]
    if kind in PROTO_NUMBERS:
        yield PROTO_RANGE
    elif kind in ("string", "bytes"):
        yield PROTO_FORM
    is_message = "." in kind or kind[0].isupper()
    if field["label"] == "optional " or (is_message and not field["label"] and not field["value"]):
        yield PROTO_ABSENCE


def contract(files):
    """Comments of the protocol are its reference: they say the range, the form, the absence."""
    for file in files:
        if not file.path.startswith("proto/cambrian/"):
            continue
        comment = ""
        for number, line in enumerate(file.lines, 1):
            if line.strip().startswith("//"):
                comment += " " + line.strip()[2:].strip()
                continue
            field = PROTO_FIELD.match(line)
            for pattern, problem in proto_demands(field) if field else ():
                if not pattern.search(comment):
                    yield file.path, number, "contract", f"the comment {problem}"
            comment = ""


RULES = [layers, words, headers, todos, cmake, readmes, test_names, links, packages, contract]
