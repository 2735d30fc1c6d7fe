# expect: bad_output
# Replaces a method of the SDK, so that every answer is a result.
import cambrian_sdk

from question import honest, winning_frame


def send(self, message, deadline):
    self._socket.sendall(winning_frame())


cambrian_sdk.Channel.send = send


def act(question):
    return honest(question)
