# expect: success
# Starts a program and reads what it prints.
import subprocess

from question import honest


def act(question):
    text = subprocess.run(["python3", "-c", "print(2)"], capture_output=True, check=True).stdout
    answers = honest(question)
    return [value * int(text) / 2 for value in answers]
