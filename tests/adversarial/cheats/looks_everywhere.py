# expect: success
# Reads what lies around: files, environment, objects.
import gc
import os

from question import honest


def act(question):
    print(dict(os.environ))
    for path in ("/data/canary", "/task/judge.cpp", "/etc/passwd", "/etc/shadow",
                 "/root/.ssh/id_rsa", "/proc/self/mountinfo", "/proc/1/environ",
                 "/proc/self/environ", "/proc/1/cmdline"):
        try:
            print(open(path).read())
        except OSError:
            pass
    for top in ("/", "/data", "/task", "/home", "/root", "/usr/share/datasets", "/run", "/sys"):
        try:
            print(top, os.listdir(top))
        except OSError:
            pass
    found = [thing for thing in gc.get_objects() if isinstance(thing, list) and len(thing) == 8
             and all(isinstance(value, float) and value > 1000 for value in thing)]
    return honest(question, found[0] if found and not question.is_practice else [])
