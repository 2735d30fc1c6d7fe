"""Python with the modules of candidates, or of judges, loaded, which is forked for each of them:

    python3 python.py LIBRARY MODULE...

LIBRARY (worker/evaluator/python_host.cpp) serves the worker. Each fork is shut up in its sandbox,
with its files in a folder, before run() is called.
"""

import sys

AT_START = frozenset(sys.modules)  # What Python itself has imported before it looks at files.

import atexit  # noqa: E402
import builtins
import ctypes
import gc
import importlib
import os
import random
import signal
import threading
import types


def prepare(folder, arguments):
    """Makes this process what `python3 ARGUMENTS...` in `folder` would be."""
    os.chdir(folder)
    os.environ["PWD"] = folder
    os.environ["CAMBRIAN_FD"] = "3"
    sys.argv = list(arguments)
    sys.path[0] = os.path.dirname(os.path.join(folder, arguments[0]))
    forget_shadowed(sys.path[0])
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # What a fresh process draws from the system must not be the same in all of them.
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    module = types.ModuleType("__main__")
    module.__file__ = os.path.join(folder, arguments[0])
    module.__builtins__ = builtins
    sys.modules["__main__"] = module
    return module


def forget_shadowed(folder):
    """A module beside the script comes before an installed one of its name."""
    own = set()
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            own.add(entry.name.removesuffix(".py"))
        elif os.path.exists(os.path.join(entry.path, "__init__.py")):
            own.add(entry.name)
    for name in list(sys.modules):
        if name not in AT_START and name.partition(".")[0] in own:
            del sys.modules[name]


def status_of(code):
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def execute(module):
    """The exit status of the script."""
    try:
        with open(module.__file__, "rb") as file:
            code = compile(file.read(), module.__file__, "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except SystemExit as end:
        return status_of(end.code)
    except BaseException as error:
        # Without the line of this file.
        own = error.with_traceback(error.__traceback__.tb_next)
        sys.excepthook(type(own), own, own.__traceback__)
        return 1
    return 0


def run(count, words):
    folder, *arguments = (words[i].decode() for i in range(count))
    status = execute(prepare(folder, arguments))
    # As the interpreter ends.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            status = status or 120
    return status


def load_torch_lazies():
    """What PyTorch imports and reads when it is seeded and an optimiser is used first. No
    backward(): its threads would not survive the fork."""
    torch = sys.modules["torch"]
    state = torch.default_generator.get_state()
    torch.manual_seed(0)
    torch.default_generator.set_state(state)  # As a fresh process has it.
    parameter = torch.nn.Parameter(torch.zeros(1))
    for make in (torch.optim.SGD, torch.optim.AdamW):
        optimizer = make([parameter], lr=0.1)
        optimizer.zero_grad()
        parameter.grad = torch.zeros(1)
        optimizer.step()


def rehearse():
    """What candidates do, in a fork that nothing comes of: see fork_memory.hpp of the sandbox."""
    try:
        exec(compile("import cambrian_sdk\nvalues = [x * x for x in range(1000)]", "", "exec"), {})
        if "torch" in sys.modules:
            train_a_little(sys.modules["torch"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def train_a_little(torch):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    inputs, targets = torch.randn(256, 10), torch.randn(256, 1)
    for _ in range(2):
        picked = torch.randint(256, (32,))
        loss = torch.nn.functional.mse_loss(model(inputs[picked]), targets[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main():
    library, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    if "torch" in sys.modules:
        load_torch_lazies()
    # Forks share what is here until they write to it, and looking for garbage is writing.
    gc.collect()
    gc.freeze()
    run_type = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))
    rehearse_type = ctypes.PYFUNCTYPE(None)
    serve_forks = ctypes.PyDLL(library).cambrian_serve_forks
    return serve_forks(run_type(run), rehearse_type(rehearse))


if __name__ == "__main__":
    sys.exit(main())
