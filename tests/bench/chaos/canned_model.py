"""A model whose answer is a function of the request: whoever asks again is told the same."""

import hashlib
import http.server
import json
import threading
import time

UNUSABLE_ONE_OF = 16  # Answers without a program: the client asks once more with what was wrong.
REPEATED_ONE_OF = 16  # Programs out of a small number: duplicates come about.
SMALL_NUMBER = 40
THOUGHT_SECONDS_MAX = 0.03


def answer_to(messages, seed):
    """The text that the model writes."""
    text = json.dumps([messages, seed], sort_keys=True)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    kind, number = number % UNUSABLE_ONE_OF, number // UNUSABLE_ONE_OF
    if kind == 0:
        return f"I have no idea, number {number}."
    if kind == 1:
        number %= SMALL_NUMBER
    return ("File: answer.cpp\n```cpp\n// EVOLVE-BLOCK-START\n"
            f"int answer() {{ return {number}; }}\n// EVOLVE-BLOCK-END\n```\n")


def reply_to(body):
    request = json.loads(body)
    content = answer_to(request["messages"], request.get("seed"))
    # More than any estimate of the prompt: a smaller count would look like a cut prompt.
    usage = {"prompt_tokens": len(body), "completion_tokens": 30, "total_tokens": len(body) + 30}
    return {"id": hashlib.sha256(body).hexdigest()[:16], "object": "chat.completion",
            "model": "canned", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": content}}]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(THOUGHT_SECONDS_MAX * (hash(body) % 100) / 100)
        self.server.answers += 1  # A count for people: a lost update does no harm.
        self.say("200 OK", json.dumps(reply_to(body)).encode())

    def do_GET(self):
        self.say("404 Not Found", b"{}")

    def say(self, status, body):
        # In one piece: headers that travel alone wait for an acknowledgement.
        self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    answers = 0

    def handle_error(self, *_):
        pass  # A client that was killed.


class CannedModel:
    """Use as a context manager."""

    def __enter__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def answers(self):
        return self.server.answers
