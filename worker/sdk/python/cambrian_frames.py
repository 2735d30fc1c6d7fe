"""The frames of Cambrian's protocol (docs/judge-protocol.md) in Python. Tasks import cambrian_sdk,
which has all of this."""

import contextlib
import fcntl
import json
import math
import mmap
import os
import select
import socket
import struct
import time

import numpy as np

JSON_BYTES_MAX, PAYLOAD_BYTES_MAX = 1 << 20, 1 << 30
CHECKPOINT_BYTES_MAX = 62 << 20  # With the rest of its frame no more than a content of 64 MiB.
TENSORS_MAX, DESCRIPTORS_MAX, RANK_MAX, PAYLOAD_ALIGNMENT = 4096, 16, 8, 8

_MAGIC, _HEADER = b"CMB1", struct.Struct("<4sIQ")
_DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_PAYLOAD_STEP_BYTES = 16 << 20
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


def is_count(value):
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
    if not isinstance(shape, list) or len(shape) > RANK_MAX or not all(map(is_count, shape)):
        raise FrameError(f"tensor with a bad shape: name={name}")
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    size = math.prod(shape) * dtype.itemsize
    if (not is_count(offset) or offset % dtype.itemsize or size > PAYLOAD_BYTES_MAX
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

    def has_something(self):
        """Whether receive() has something to read: of a frame, or the stream's end."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def comes_first(self, other, deadline):
        """Waits until this channel or the other has something to read. True: this one has."""
        left = deadline - time.monotonic()
        ready = select.select([self._socket, other._socket], [], [], max(0, left))[0]
        if not ready:
            raise StreamTimeout("no answer in time")
        return self._socket in ready


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
