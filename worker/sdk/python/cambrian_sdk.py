"""Both sides of Cambrian's frame protocol (docs/judge-protocol.md) for Python tasks, in one file.

A candidate calls run_candidate() with a function that makes it. A judge calls run_judge() with a
function of a Session that returns a Verdict. Arrays are NumPy's, or what NumPy can read.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import math
import mmap
import os
import pathlib
import socket
import struct
import sys
import time

import numpy as np

JSON_BYTES_MAX, PAYLOAD_BYTES_MAX = 1 << 20, 1 << 30
TENSORS_MAX, DESCRIPTORS_MAX, RANK_MAX, PAYLOAD_ALIGNMENT = 4096, 16, 8, 8

_MAGIC, _HEADER = b"CMB1", struct.Struct("<4sIQ")
_DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_PAYLOAD_STEP_BYTES, _PATIENCE_SECONDS = 16 << 20, 7 * 24 * 3600
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class FrameError(Exception):
    """What arrived is not a frame, or breaks a limit or a rule."""


class StreamClosed(FrameError):
    """The other side closed the stream or died."""


class StreamTimeout(FrameError):
    """The deadline passed."""


class Message:
    """One frame: a type, other members, and tensors (name to NumPy array)."""

    def __init__(self, type, members=None, tensors=None):
        self.type = type
        self.members = dict(members or {})
        self.tensors = dict(tensors or {})
        self.descriptors = []

    def __getitem__(self, name):
        if name not in self.members:
            raise FrameError(f"{self.type} without member {name}")
        return self.members[name]

    def tensor(self, name):
        if name not in self.tensors:
            raise FrameError(f"{self.type} without tensor {name}")
        return self.tensors[name]


class SharedTensor:
    """An array in a sealed memory file: travels without being copied. Only judges may send it."""

    def __init__(self, values):
        values = np.asarray(values, order="C")
        self.shape, self.dtype = values.shape, values.dtype
        self.file = os.memfd_create("cambrian-tensor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(self.file, "wb", closefd=False) as file:
            file.write(memoryview(values).cast("B") if values.size else b"")
        fcntl.fcntl(self.file, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)

    def __del__(self):
        if hasattr(self, "file"):
            os.close(self.file)


def _aligned(offset):
    return -(-offset // PAYLOAD_ALIGNMENT) * PAYLOAD_ALIGNMENT


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _refuse_duplicates(pairs):
    if len(found := dict(pairs)) != len(pairs):
        raise FrameError("duplicate member")
    return found


def _finite(text):
    if not math.isfinite(value := float(text)):
        raise FrameError(f"not a JSON number: {text[:20]}")
    return value


def _integer(text):  # Beyond 64 bits it is no integer: others who read frames have it so.
    return value if -(1 << 63) <= (value := int(text)) < 1 << 63 else _finite(text)


def _parse_json(content):
    try:
        members = json.loads(content.decode("utf-8"), object_pairs_hook=_refuse_duplicates,
                             parse_constant=_finite, parse_float=_finite, parse_int=_integer)
        if b"\\u" in content:  # Half a surrogate pair is no text: nobody could send it on.
            json.dumps(members, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise FrameError("not JSON") from error
    if not isinstance(members, dict):
        raise FrameError("not a JSON object")
    return members


def _check_entry(entry):
    """Name, dtype, shape, offset and bytes of one entry of `tensors`."""
    if not isinstance(entry, dict) or not {"name", "dtype", "shape", "offset"} <= set(entry):
        raise FrameError("tensor without its description")
    if set(entry) - {"name", "dtype", "shape", "offset", "shared"}:
        raise FrameError("tensor with an unknown member")
    name, shape, offset = entry["name"], entry["shape"], entry["offset"]
    if not isinstance(name, str) or not 1 <= len(name.encode()) <= 256:
        raise FrameError("tensor with a bad name")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
        raise FrameError(f"tensor with an unknown dtype: name={name}")
    if not isinstance(shape, list) or len(shape) > RANK_MAX or not all(map(_is_count, shape)):
        raise FrameError(f"tensor with a bad shape: name={name}")
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    size = math.prod(shape) * dtype.itemsize
    if (not _is_count(offset) or offset % dtype.itemsize or size > PAYLOAD_BYTES_MAX
            or not isinstance(entry.get("shared", False), bool)):
        raise FrameError(f"tensor with a bad offset, size or shared: name={name}")
    return name, dtype, tuple(shape), offset, size


def _map_shared(descriptor, dtype, shape, offset, size):
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise FrameError("shared tensor is not a sealed memory file")
        if offset + size > os.fstat(descriptor).st_size:
            raise FrameError("shared tensor is larger than its file")
        if size == 0:
            return np.empty(shape, dtype)
        # A private mapping: writes go to a copy of the page.
        memory = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE,
                           prot=mmap.PROT_READ | mmap.PROT_WRITE)
        return np.frombuffer(memory, dtype, math.prod(shape), offset).reshape(shape)
    except OSError as error:
        raise FrameError("shared tensor is not a memory file") from error


@contextlib.contextmanager
def _translated():
    try:
        yield
    except TimeoutError as error:
        raise StreamTimeout("no answer in time") from error
    except (BrokenPipeError, ConnectionResetError) as error:
        raise StreamClosed("stream closed") from error


class Channel:
    """Frames over a connected Unix stream socket. Deadlines are values of time.monotonic()."""

    def __init__(self, descriptor):
        self._socket = socket.socket(fileno=descriptor)

    @staticmethod
    def from_environment():
        """The channel named by CAMBRIAN_FD."""
        text = os.environ.pop("CAMBRIAN_FD", "")
        if not text.isdigit():
            raise RuntimeError("CAMBRIAN_FD does not name a descriptor: start this by a worker")
        return Channel(int(text))

    def close(self):
        self._socket.close()

    def _wait_until(self, deadline):
        if (left := deadline - time.monotonic()) <= 0:
            raise StreamTimeout("no answer in time")
        self._socket.settimeout(left)

    def send(self, message, deadline):
        entries, pieces, descriptors, end = [], [], [], 0
        for name, values in message.tensors.items():
            shared = isinstance(values, SharedTensor)
            values = values if shared else np.asarray(values, order="C")
            if np.dtype(values.dtype) not in _NAMES:
                raise ValueError(f"frames do not know the type of {name}: {values.dtype}")
            entry = {"name": name, "dtype": _NAMES[np.dtype(values.dtype)],
                     "shape": list(values.shape), "offset": 0 if shared else _aligned(end)}
            if shared:
                entry["shared"] = True
                descriptors.append(values.file)
            else:
                pieces += [b"\0" * (entry["offset"] - end), values.tobytes()]
                end = entry["offset"] + len(pieces[-1])
            entries.append(entry)
        members = dict(message.members, type=message.type)
        if entries:
            members["tensors"] = entries
        text = json.dumps(members, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        text = text.encode("utf-8", "replace")  # Compact: a state must not grow above the limit.
        if (len(text) > JSON_BYTES_MAX or end > PAYLOAD_BYTES_MAX or len(entries) > TENSORS_MAX
                or len(descriptors) > DESCRIPTORS_MAX):
            raise ValueError("frame above a limit of the protocol")
        self._send_bytes(b"".join([_HEADER.pack(_MAGIC, len(text), end), text] + pieces),
                         descriptors, deadline)

    def _send_bytes(self, content, descriptors, deadline):
        view = memoryview(content)
        with _translated():
            self._wait_until(deadline)
            sent = socket.send_fds(self._socket, [view], descriptors)
            while sent < len(view):
                self._wait_until(deadline)
                sent += self._socket.send(view[sent:])

    def receive(self, deadline, payload_bytes_max=PAYLOAD_BYTES_MAX, descriptors=False):
        """The next frame. Descriptors are dropped unread unless they are asked for."""
        header, taken = bytearray(), []
        if descriptors:  # They come with the first byte.
            with _translated():
                self._wait_until(deadline)
                header, taken, _, _ = socket.recv_fds(self._socket, _HEADER.size, DESCRIPTORS_MAX)
            if not header:
                raise StreamClosed("stream closed")
        header += self._receive_bytes(_HEADER.size - len(header), deadline)
        magic, json_bytes, payload_bytes = _HEADER.unpack(header)
        if magic != _MAGIC or not 2 <= json_bytes <= JSON_BYTES_MAX:
            raise FrameError(f"wrong magic or length: magic={magic} bytes={json_bytes}")
        if payload_bytes > min(payload_bytes_max, PAYLOAD_BYTES_MAX):
            raise FrameError(f"payload too large: bytes={payload_bytes}")
        members = _parse_json(self._receive_bytes(json_bytes, deadline))
        payload = self._receive_bytes(payload_bytes, deadline)
        return _decode(members, payload, taken)

    def _receive_bytes(self, size, deadline):
        content = bytearray()
        with _translated():
            while len(content) < size:
                self._wait_until(deadline)
                piece = self._socket.recv(min(size - len(content), _PAYLOAD_STEP_BYTES))
                if not piece:
                    raise StreamClosed("stream closed")
                content += piece
        return content


def _decode(members, payload, descriptors):
    """The message; closes the descriptors of shared tensors and, on errors, all others too."""
    unused = list(descriptors)
    try:
        if not isinstance(members.get("type"), str):
            raise FrameError("no type")
        entries = members.pop("tensors", [])
        if not isinstance(entries, list) or len(entries) > TENSORS_MAX:
            raise FrameError("bad list of tensors")
        message, end, used = Message(members.pop("type"), members), 0, []
        for entry in entries:
            name, dtype, shape, offset, size = _check_entry(entry)
            if name in message.tensors:
                raise FrameError(f"tensor appears twice: name={name}")
            if entry.get("shared"):
                if not unused:
                    raise FrameError("shared tensor without a descriptor")
                used.append(unused.pop(0))
                values = _map_shared(used[-1], dtype, shape, offset, size)
            else:
                if offset != _aligned(end) or offset + size > len(payload):
                    raise FrameError(f"tensor does not lie in the payload: name={name}")
                values = np.frombuffer(payload, dtype, math.prod(shape), offset).reshape(shape)
                end = offset + size
            message.tensors[name] = values
        if end != len(payload):
            raise FrameError(f"surplus bytes: payload={len(payload)} tensors={end}")
        message.descriptors, descriptors = unused, used
        return message
    except (ValueError, OverflowError) as error:  # A zero lets the other sizes be any.
        raise FrameError("tensor with an impossible shape") from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


# The candidate's side.


@dataclasses.dataclass
class Setup:
    """What the judge said when it started this process."""

    phase: str
    seed: int
    threads: int
    device: str
    parameters: dict


class Training:
    """The budget of one training. The clock that counts is the judge's; use this one to plan."""

    REPORT_INTERVAL = 0.2

    def __init__(self, budget_seconds, steps_max, channel):
        self.steps, self.steps_max = 0, steps_max
        self._start, self._budget, self._channel = time.monotonic(), budget_seconds, channel
        self._report_next, self._diverged = self._start, False

    def seconds_left(self):
        return max(0.0, self._budget - (time.monotonic() - self._start))

    def has_time(self):
        """True while another step may begin."""
        steps_left = self.steps_max <= 0 or self.steps < self.steps_max
        return steps_left and self.seconds_left() > 0 and not self._diverged

    def progress(self):
        """How much of the budget is used, 0 to 1; counted in steps where these are limited."""
        if self.steps_max > 0:
            return min(1.0, self.steps / self.steps_max)
        return min(1.0, 1 - self.seconds_left() / max(self._budget, 1e-9))

    def step(self, loss=None):
        """Call it once in each step. A loss, number or tensor, is read only when it is reported."""
        due = self.steps == 0 or time.monotonic() >= self._report_next
        self.steps += 1
        if not due:
            return
        self._report_next = time.monotonic() + self.REPORT_INTERVAL
        members = {"step": self.steps}
        if loss is not None:
            value = float(loss)
            self._diverged |= not math.isfinite(value)  # For good: more steps cannot mend it.
            if math.isfinite(value):
                members["loss"] = value
        self._channel.send(Message("progress", members), time.monotonic() + _PATIENCE_SECONDS)


def _respond(candidate, setup, message, channel):
    if message.type == "train":
        training = Training(message["budget_seconds"], int(setup.parameters.get("steps", 0)),
                            channel)
        state = candidate.train(message.tensors, training)
        return Message("trained", {"steps": training.steps}, state)
    if message.type == "load":
        candidate.load(message.tensors)
        return Message("ready")
    if message.type == "predict":
        return Message("prediction", {}, {"outputs": candidate.predict(message.tensor("inputs"))})
    if message.type == "ask":
        answer = candidate.answer(message)
        answer.type = "answer"
        return answer
    raise FrameError(f"unknown message of the judge: {message.type}")


def run_candidate(make_candidate):
    """Speaks with the judge until it says bye or hangs up. make_candidate(setup) returns an object
    with the methods that the task's judge asks for:
        train(data, training)  data: name to array; returns the state: name to array
        load(state)            takes up a state that an earlier process gave
        predict(inputs)        returns the outputs, an array
        answer(question)       returns the answer; both are Messages
    An exception ends the evaluation as a crash."""
    channel, forever = Channel.from_environment(), time.monotonic() + _PATIENCE_SECONDS
    try:
        hello = channel.receive(forever, descriptors=True)
        setup = Setup(hello["phase"], int(hello["seed"]), hello["threads"], hello["device"],
                      hello.members.get("parameters", {}))
        candidate = make_candidate(setup)
        channel.send(Message("ready"), forever)
        while (message := channel.receive(forever, descriptors=True)).type != "bye":
            channel.send(_respond(candidate, setup, message, channel), forever)
    except StreamClosed:
        pass  # The judge has what it wanted.
    except Exception as error:  # Whatever the candidate's code throws goes to the judge.
        text = f"{type(error).__name__}: {error}"
        print("candidate:", text, file=sys.stderr)
        with contextlib.suppress(FrameError, OSError):
            channel.send(Message("error", {"message": text[:4096]}), forever)
        sys.exit(1)


# The judge's side.


class Failure(Exception):
    """The candidate's fault: ends the evaluation as crash, timeout, bad_output or not_finite."""

    def __init__(self, outcome, diagnostics):
        super().__init__(diagnostics)
        self.outcome = outcome


@dataclasses.dataclass
class Verdict:
    """What the judge found. Metrics must be finite."""

    metrics: dict
    diagnostics: str = ""
    behaviour_digest: str = ""


@dataclasses.dataclass
class Trained:
    """What a training gave. `stored_scalars` is its honest size, in numbers of four bytes."""

    state: dict
    stored_scalars: int
    steps: int
    seconds: float


class RemoteCandidate:
    """One candidate process. Methods raise Failure where it does not do its part."""

    START_SECONDS, PROGRESS_INTERVAL = 60, 0.5

    def __init__(self, session, channel):
        self._session, self._channel = session, channel
        self._has_stepped, self._report_next = False, 0.0

    def train(self, data, budget_seconds, grace_seconds, state_bytes_max=256 << 20):
        """Sends arrays (name to array, in shared memory) and waits for the state."""
        shared = {name: SharedTensor(values) for name, values in data.items()}
        start = time.monotonic()
        answer = self._exchange(Message("train", {"budget_seconds": budget_seconds}, shared),
                                "trained", budget_seconds + grace_seconds, state_bytes_max)
        if not _is_count(steps := answer.members.get("steps")):
            raise Failure("bad_output", "trained without steps")
        self._session.send_event("trained")
        return Trained(answer.tensors, _count_stored(answer.tensors), steps,
                       time.monotonic() - start)

    def load(self, state, seconds):
        self._exchange(Message("load", {}, state), "ready", seconds, 0)

    def predict(self, inputs, shape, seconds):
        """The prediction: finite float32 of this shape."""
        answer = self._exchange(Message("predict", {}, {"inputs": inputs}), "prediction", seconds,
                                4 * math.prod(shape))
        return _checked(answer, {"outputs": (shape, np.float32)})["outputs"]

    def ask(self, question, tensors, seconds):
        """Sends a question; the answer holds exactly these tensors (name to (shape, dtype))."""
        question.type = "ask"
        size = sum(math.prod(shape) * np.dtype(dtype).itemsize + PAYLOAD_ALIGNMENT
                   for shape, dtype in tensors.values())
        answer = self._exchange(question, "answer", seconds, size)
        _checked(answer, tensors)
        return answer

    def finish(self):
        """Says goodbye and does not wait."""
        with contextlib.suppress(FrameError):  # It may be gone already.
            self._channel.send(Message("bye"), time.monotonic() + 1)
        self._channel.close()

    def _exchange(self, message, wanted, seconds, payload_bytes_max):
        deadline = min(time.monotonic() + seconds, self._session.deadline)
        try:
            # What it said before it went says more than that it went.
            with contextlib.suppress(StreamClosed):
                self._channel.send(message, deadline)
            return self._wait_for(wanted, deadline, payload_bytes_max)
        except StreamClosed as error:
            raise Failure("crash", f"candidate ended: waiting_for={wanted}") from error
        except StreamTimeout as error:
            raise Failure("timeout", f"candidate is silent: waiting_for={wanted}") from error
        except FrameError as error:
            raise Failure("bad_output", f"{error} waiting_for={wanted}") from error

    def _wait_for(self, wanted, deadline, payload_bytes_max):
        while True:
            message = self._channel.receive(deadline, payload_bytes_max)
            if message.type == wanted:
                return message
            if message.type == "error":
                raise Failure("crash", str(message.members.get("message"))[:4096])
            if message.type != "progress" or wanted != "trained":
                raise Failure("bad_output",
                              f"unexpected message: type={message.type[:64]} expected={wanted}")
            self._report(message)

    def _report(self, progress):
        step, loss = progress.members.get("step"), progress.members.get("loss")
        if not _is_count(step):
            raise Failure("bad_output", "progress without a step")
        if not self._has_stepped:
            self._session.send_event("first_step")
        self._has_stepped = True
        if time.monotonic() < self._report_next:
            return
        self._report_next = time.monotonic() + self.PROGRESS_INTERVAL
        members = {"step": step, "loss": loss} if type(loss) in (int, float) else {"step": step}
        self._session.send_event("progress", members)


def _count_stored(state):
    """The size of a state in numbers of 4 bytes; of names what is above those of honest models."""
    if any(values.size == 0 for values in state.values()):
        raise Failure("bad_output", "tensor of the state without elements")
    size = sum(max(values.nbytes, 4) for values in state.values())
    names = sum(len(name.encode()) for name in state)
    return -(-(size + max(0, names - 64 - size // 8)) // 4)


def _checked(message, tensors):
    if set(message.tensors) != set(tensors):
        raise Failure("bad_output", f"expected the tensors {sorted(tensors)}")
    for name, (shape, dtype) in tensors.items():
        values = message.tensors[name]
        if values.shape != tuple(shape) or values.dtype != np.dtype(dtype):
            raise Failure("bad_output", f"tensor {name} is {values.dtype}{list(values.shape)}, "
                                        f"expected {np.dtype(dtype)}{list(shape)}")
        if not np.all(np.isfinite(values)):
            raise Failure("not_finite", f"tensor {name} holds NaN or an infinity")
    return message.tensors


class Session:
    """The judge's side of one evaluation. Made by run_judge()."""

    WORKER_SECONDS = 120

    def __init__(self, worker):
        self._worker = worker
        begin = worker.receive(time.monotonic() + self.WORKER_SECONDS, descriptors=True)
        if begin.type != "begin":
            raise FrameError(f"expected begin: {begin.type}")
        self.seed, self.split = int(begin["seed"]), begin["split"]  # A seed no candidate can find.
        self.task_seed = int(begin.members.get("task_seed", 0))  # For data drawn once and for all.
        self.parameters = begin.members.get("parameters", {})
        self.threads, self.device = begin["threads"], begin["device"]
        self.deadline = time.monotonic() + begin["run_seconds"]

    def parameter(self, name, otherwise, minimum, maximum):
        """A number of the task or campaign, which must lie in this range."""
        value = self.parameters.get(name, otherwise)
        if not minimum <= value <= maximum:
            raise ValueError(f"parameter out of range: {name}={value} "
                             f"minimum={minimum} maximum={maximum}")
        return value

    def data_path(self, name):
        """A data source of the task. (The task folder is the working directory.)"""
        return pathlib.Path(os.environ.get("CAMBRIAN_DATA_DIR", "/data"), name)

    def start_candidate(self, phase):
        """A fresh candidate process that has said ready; an older one is ended by the worker."""
        self._send(Message("start_candidate"))
        started = self._worker.receive(time.monotonic() + self.WORKER_SECONDS, descriptors=True)
        if started.type != "started" or len(started.descriptors) != 1:
            raise FrameError(f"expected started with one descriptor: {started.type}")
        candidate = RemoteCandidate(self, Channel(started.descriptors[0]))
        # With the evaluation's own seed a candidate could draw the judge's data itself.
        digest = hashlib.sha256(f"cambrian candidate {self.seed}".encode()).hexdigest()
        hello = {"protocol": 1, "phase": phase, "seed": str(int(digest[:16], 16)),
                 "threads": self.threads, "device": self.device, "parameters": self.parameters}
        candidate._exchange(Message("hello", hello), "ready", RemoteCandidate.START_SECONDS, 0)
        self.send_event("ready")
        return candidate

    def end_candidate(self):
        """Kills the candidate's whole sandbox."""
        self._send(Message("end_candidate"))

    def send_event(self, name, members=None):
        self._send(Message("event", dict(members or {}, name=name)))

    def finish(self, outcome, verdict):
        metrics = {name: float(value) for name, value in verdict.metrics.items()}
        if not all(map(math.isfinite, metrics.values())):
            outcome, metrics = "not_finite", {}
        self._send(Message("result", {"outcome": outcome, "metrics": metrics,
                                      "diagnostics": verdict.diagnostics[:4096],
                                      "behaviour_digest": verdict.behaviour_digest}))

    def _send(self, message):
        self._worker.send(message, time.monotonic() + self.WORKER_SECONDS)


def behaviour_digest(values):
    """SHA-256 of an array: equal for candidates that behave alike."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def run_judge(judge):
    """Runs one evaluation: judge(session) returns a Verdict or raises Failure. Any other exception
    is a bug of the judge and ends it with status 1: our failure, never the variant's."""
    session = Session(Channel.from_environment())
    try:
        session.finish("success", judge(session))
    except Failure as failure:
        session.finish(failure.outcome, Verdict({}, str(failure)))
