"""The Python SDK as the reader of what a candidate writes: judge_frame_test.py SDK_FOLDER CORPUS.

Whatever arrives is a message or a FrameError, and what was heard can be said again, so that no
candidate can end a judge by what it sends. The seed is CAMBRIAN_TEST_SEED, else 1.
"""

import os
import pathlib
import random
import socket
import sys
import time

sys.path.insert(0, sys.argv[1])
import cambrian_sdk  # noqa: E402

MUTATIONS = 300
PAYLOAD_BYTES_MAX = 4096


def mutate(content, corpus, rng):
    """Bytes changed, pieces cut out, doubled, and taken from other inputs."""
    for _ in range(rng.randint(1, 4)):
        at, length, other = rng.randint(0, len(content)), rng.randrange(24), rng.choice(corpus)
        start = rng.randint(0, len(other))
        piece = rng.choice([bytes([rng.randrange(256)]), content[at:at + length],
                            other[start:start + length], b""])
        content = content[:at] + piece + content[at + (0 if piece else length):]
    return content


def channels():
    return [cambrian_sdk.Channel(end.detach()) for end in socket.socketpair()]


def say_again(message):
    """Sends what was heard and hears it once more."""
    out, back = channels()
    try:
        deadline = time.monotonic() + 60
        out.send(message, deadline)
        again = back.receive(deadline)
        assert again.type == message.type and again.members == message.members
        assert set(again.tensors) == set(message.tensors)
        for name, values in message.tensors.items():
            assert again.tensors[name].tobytes() == values.tobytes()
            assert again.tensors[name].shape == values.shape
    finally:
        out.close()
        back.close()


def listen(content):
    """How many messages a judge hears of a candidate that writes this and hangs up."""
    ours, theirs = socket.socketpair()
    theirs.sendall(content)
    theirs.close()
    channel, heard = cambrian_sdk.Channel(ours.detach()), 0
    try:
        while True:
            message = channel.receive(time.monotonic() + 60, PAYLOAD_BYTES_MAX)
            say_again(message)
            heard += 1
    except cambrian_sdk.StreamTimeout:
        raise
    except cambrian_sdk.FrameError:
        return heard
    finally:
        channel.close()


def main():
    paths = sorted(pathlib.Path(sys.argv[2]).iterdir())
    corpus = [path.read_bytes() for path in paths]
    seed = int(os.environ.get("CAMBRIAN_TEST_SEED", "1"))
    print("seed", seed, flush=True)
    rng = random.Random(seed)
    heard = 0
    for path, content in zip(paths, corpus):
        for i in range(MUTATIONS + 1):
            attempt = mutate(content, corpus, rng) if i else content
            try:
                heard += listen(attempt)
            except BaseException:
                print(f"failed: {path.name} mutation={i} content={attempt!r}", flush=True)
                raise
    print(f"{len(corpus)} inputs, {MUTATIONS} mutations of each, {heard} messages")
    assert heard > len(corpus)


main()
