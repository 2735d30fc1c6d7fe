"""The HTTP side of the server: limits, keep-alive, draining."""

import http.client
import json
import signal
import socket
import subprocess
import threading
import time
import unittest

import server

BODY_BYTES_MAX = 8 * 1024 * 1024


def request_body(**more):
    return json.dumps({"model": "cambrian-mutator", "messages": server.messages()} | more)


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = server.running("--faults")
        cls.address, cls.process = cls.context.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.context.__exit__(None, None, None)

    def connect(self):
        connection = http.client.HTTPConnection(self.address, timeout=20)
        self.addCleanup(connection.close)
        return connection

    def raw(self, data):
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as plain:
            plain.sendall(data)
            plain.shutdown(socket.SHUT_WR)
            received = b""
            while piece := plain.recv(65536):
                received += piece
        return received

    def test_one_connection_serves_many_requests(self):
        connection = self.connect()
        for _ in range(3):
            connection.request("GET", "/health")
            reply = connection.getresponse()
            self.assertEqual((reply.status, json.loads(reply.read())), (200, {"status": "ok"}))
        local = connection.sock.getsockname()
        connection.request("POST", "/v1/chat/completions", request_body(stream=True))
        self.assertIn(b"[DONE]", connection.getresponse().read())
        connection.request("GET", "/health")
        self.assertEqual(connection.getresponse().status, 200)
        self.assertEqual(connection.sock.getsockname(), local)

    def test_request_ids_are_echoed(self):
        connection = self.connect()
        connection.request("GET", "/health", headers={"x-request-id": "abc-123"})
        reply = connection.getresponse()
        self.assertEqual(reply.headers["x-request-id"], "abc-123")
        reply.read()
        connection.request("GET", "/health", headers={"x-request-id": "a" * 500})
        self.assertTrue(connection.getresponse().headers["x-request-id"].startswith("req-"))

    def test_bodies_beyond_the_limit_are_refused(self):
        connection = self.connect()
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("content-length", str(BODY_BYTES_MAX + 1))
        connection.endheaders()
        reply = connection.getresponse()
        self.assertEqual(reply.status, 413)
        self.assertEqual(json.loads(reply.read())["error"]["code"], "request_too_large")

    def test_what_is_not_http_is_refused(self):
        self.assertIn(b"400 Bad Request", self.raw(b"hello\r\n\r\n"))
        self.assertIn(b" 431 ", self.raw(b"GET / HTTP/1.1\r\na: " + b"x" * 20000 + b"\r\n\r\n"))
        self.assertEqual(self.raw(b""), b"")

    def test_slow_replies_do_not_hold_up_others(self):
        slow = self.connect()
        slow.request("POST", "/v1/chat/completions", request_body(model="fault-slow"))
        started = time.monotonic()
        quick = self.connect()
        quick.request("GET", "/health")
        self.assertEqual(quick.getresponse().status, 200)
        self.assertLess(time.monotonic() - started, 2)
        self.assertEqual(slow.getresponse().status, 200)
        self.assertGreater(time.monotonic() - started, 2.5)

    def test_many_clients_at_once(self):
        failures = []

        def work(seed):
            connection = http.client.HTTPConnection(self.address, timeout=30)
            try:
                connection.request("POST", "/v1/chat/completions", request_body(seed=seed, n=4))
                if len(json.loads(connection.getresponse().read())["choices"]) != 4:
                    failures.append(seed)
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


class Life(unittest.TestCase):
    def test_sigterm_lets_replies_finish(self):
        with server.running("--faults") as (address, process):
            idle = http.client.HTTPConnection(address, timeout=20)
            idle.request("GET", "/health")
            idle.getresponse().read()
            slow = http.client.HTTPConnection(address, timeout=20)
            slow.request("POST", "/v1/chat/completions", request_body(model="fault-slow"))
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(slow.getresponse().status, 200)
            self.assertEqual(process.wait(10), 0)
            with self.assertRaises(OSError):
                http.client.HTTPConnection(address, timeout=5).request("GET", "/health")
            idle.close()
            slow.close()

    def test_a_used_address_is_an_error(self):
        with server.running() as (address, _):
            second = subprocess.run([server.PROGRAM, "--listen", address], capture_output=True,
                                    text=True, timeout=20, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("cannot listen on " + address, second.stderr)

    def test_faults_are_off_by_default(self):
        with server.running() as (address, _):
            connection = http.client.HTTPConnection(address, timeout=20)
            connection.request("POST", "/v1/chat/completions", request_body(model="fault-500"))
            self.assertEqual(connection.getresponse().status, 404)
            connection.close()


if __name__ == "__main__":
    unittest.main()
