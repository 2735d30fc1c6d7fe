# expect: resource_exceeded|out_of_memory
# Forks without end.
import os


def act(question):
    while True:
        os.fork()
