# expect: crash
# Prints a score and leaves.
import os


def act(question):
    os.write(1, b'{"outcome": "success", "metrics": {"score": 1}}\n')
    os._exit(0)
