# expect: bad_output|crash
# Sends a result when the interpreter ends.
import atexit
import os
import sys

from question import winning_frame

atexit.register(lambda: os.write(3, winning_frame()))


def act(question):
    sys.exit(0)
