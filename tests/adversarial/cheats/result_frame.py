# expect: bad_output
# Sends a judge's result to the judge when it is imported.
import os

from question import honest, winning_frame

for descriptor in range(64):
    try:
        os.write(descriptor, winning_frame())
    except OSError:
        pass


def act(question):
    return honest(question)
