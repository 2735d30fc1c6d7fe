"""Both sides of Cambrian's frame protocol (docs/judge-protocol.md) for Python tasks.

A candidate calls run_candidate() with a function that makes it. A judge calls run_judge() with a
function of a Session that returns a Verdict. Arrays are NumPy's, or what NumPy can read.
"""

import contextlib
import hashlib
import math
import os
import pathlib
import time
import typing

import numpy as np
from cambrian_candidate import Setup, Training, run_candidate
from cambrian_frames import (CHECKPOINT_BYTES_MAX, DESCRIPTORS_MAX, JSON_BYTES_MAX,
                             PAYLOAD_ALIGNMENT, PAYLOAD_BYTES_MAX, RANK_MAX, TENSORS_MAX, Channel,
                             FrameError, Message, SharedTensor, StreamClosed, StreamTimeout,
                             is_count)

__all__ = ["CHECKPOINT_BYTES_MAX", "DESCRIPTORS_MAX", "JSON_BYTES_MAX", "PAYLOAD_BYTES_MAX",
           "RANK_MAX", "TENSORS_MAX", "Channel", "Failure", "FrameError", "Message", "Probe",
           "RemoteCandidate", "Session", "Setup", "SharedTensor", "StreamClosed", "StreamTimeout",
           "Trained", "Training", "Verdict", "behaviour_digest", "run_candidate", "run_judge"]


class Failure(Exception):
    """The candidate's fault: ends the evaluation as crash, timeout, bad_output or not_finite."""

    def __init__(self, outcome, diagnostics):
        super().__init__(diagnostics)
        self.outcome = outcome


class Verdict(typing.NamedTuple):
    """What the judge found. Metrics must be finite."""

    metrics: dict
    diagnostics: str = ""
    behaviour_digest: str = ""


class Trained(typing.NamedTuple):
    """What a training gave. `stored_scalars` is its honest size, in numbers of four bytes."""

    state: dict
    stored_scalars: int
    steps: int
    seconds: float


class Probe(typing.NamedTuple):
    """What a training is asked at the rungs of the campaign: examples that are neither trained on
    nor scored with. score(outputs) gives the metric that the task names as judge.rung_metric, of
    finite float32 of this shape, and `worst` is what others are worth."""

    inputs: object
    shape: tuple
    score: object
    worst: float


class _Run:
    """A training while it runs."""

    def __init__(self, budget=0.0, probe=None, rung_seconds=0.0, saved=None):
        self.budget = budget
        self.used_before = saved["used_seconds"] if saved else 0.0  # By an earlier process.
        self.start = time.monotonic()
        # It was given a checkpoint and has not taken it up yet.
        self.awaits_resumption = saved is not None
        self.is_resumable = False  # It says that it can be saved.
        self.is_saving = False  # It was asked to.
        self.probe = probe  # None: it is asked nothing at rungs.
        self.rung_seconds = rung_seconds  # Of answers, which its own clock need not count.
        self.rung_next = 0  # The lowest rung that may still be answered.

    def used(self):
        return self.used_before + time.monotonic() - self.start


class RemoteCandidate:
    """One candidate process. Methods raise Failure where it does not do its part."""

    START_SECONDS, RESUME_SECONDS, PROGRESS_INTERVAL = 60, 20, 0.5

    def __init__(self, session, channel):
        self._session, self._channel = session, channel
        self._has_stepped, self._report_next = False, 0.0
        self._run = _Run()

    def train(self, data, budget_seconds, grace_seconds, state_bytes_max=256 << 20, probe=None):
        """Sends arrays (name to array, in shared memory) and waits for the state. What `probe`, a
        Probe, makes of the answers at rungs goes to the worker: nobody waits for them, and they
        give no more time.

        Where another worker began the evaluation and left a checkpoint of its first training, that
        one goes on with the rest of its budget; a candidate that cannot take it up is replaced by a
        fresh one, once, for a training from the start."""
        shared = {name: SharedTensor(values) for name, values in data.items()}
        members, rung_seconds = {"budget_seconds": budget_seconds}, grace_seconds / 2
        if probe and self._session.rungs:
            shared["probe"] = SharedTensor(probe.inputs)
            members |= {"rungs": self._session.rungs, "rung_seconds": rung_seconds}
        else:
            probe, rung_seconds = None, 0.0
        message = Message("train", members, shared)
        plan = budget_seconds, probe, rung_seconds
        saved, self._session.saved = self._session.saved, None
        if saved is not None:
            try:
                return self._train(message, plan, grace_seconds, state_bytes_max, saved)
            except Failure:
                # Once it has taken the checkpoint up, what it does is its own fault.
                if not self._run.awaits_resumption:
                    raise
            self._session.send_event("not_resumed")
            self._channel.close()
            self.__init__(self._session, self._session.start_candidate("train")._channel)
        return self._train(message, plan, grace_seconds, state_bytes_max, None)

    def _train(self, message, plan, grace_seconds, state_bytes_max, saved):
        self._run = run = _Run(*plan, saved)
        seconds = max(0.0, run.budget - run.used_before) + grace_seconds
        if saved is not None:
            self._tell(saved, min(time.monotonic() + seconds, self._session.deadline))
        answer = self._exchange(message, "trained", seconds, state_bytes_max)
        if not is_count(steps := answer.members.get("steps")):
            raise Failure("bad_output", "trained without steps")
        self._session.send_event("trained")
        return Trained(answer.tensors, _count_stored(answer.tensors), steps, self._run.used())

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
            self._tell(message, deadline)
            return self._wait_for(wanted, deadline, payload_bytes_max)
        except StreamClosed as error:
            raise Failure("crash", f"candidate ended: waiting_for={wanted}") from error
        except StreamTimeout as error:
            raise Failure("timeout", f"candidate is silent: waiting_for={wanted}") from error
        except FrameError as error:
            raise Failure("bad_output", f"{error} waiting_for={wanted}") from error

    def _tell(self, message, deadline):
        # What it said before it went says more than that it went.
        with contextlib.suppress(StreamClosed):
            self._channel.send(message, deadline)

    def _wait_in_training(self, deadline):
        """Until the candidate has something to say. Meanwhile the worker may ask for it to be
        saved."""
        if self._run.awaits_resumption:
            deadline = min(deadline, self._run.start + self.RESUME_SECONDS)
        while not self._channel.comes_first(self._session.worker, deadline):
            self._session.expect_save()
            if self._run.is_saving:
                continue
            if self._run.is_resumable:
                self._run.is_saving = True
                self._tell(Message("save"), time.monotonic() + 1)
            else:  # Who did not say that it listens would let the worker wait for nothing.
                self._hand_on(Message("checkpoint"))

    def _is_about_saving(self, message):
        """True for messages that say how the training began, or hand it on."""
        if self._run.awaits_resumption and message.type != "error":
            if message.type != "resumed":
                raise Failure("bad_output", "the checkpoint was not taken up")
            self._run.awaits_resumption = False
            self._session.send_event("resumed", {"used_seconds": self._run.used_before})
            return True
        if not self._run.is_saving or message.type not in ("checkpoint", "trained"):
            return False
        self._run.is_saving = False
        is_saved = message.type == "checkpoint"
        self._hand_on(message if is_saved else Message("checkpoint"))
        return is_saved

    def _hand_on(self, checkpoint):
        """What is no good checkpoint goes on without tensors: there is none."""
        steps, size = checkpoint.members.get("steps"), 0
        for values in checkpoint.tensors.values():
            size += values.nbytes
        is_good = is_count(steps) and size <= CHECKPOINT_BYTES_MAX
        # Its own word, which is worth no more than what every training has after its budget.
        free = checkpoint.members.get("rung_seconds")
        free = free if type(free) in (int, float) else 0.0
        members = {"steps": steps if is_good else -1, "used_seconds": self._run.used(),
                   "rung_seconds": min(max(0.0, free), self._run.rung_seconds)}
        tensors = checkpoint.tensors if is_good else {}
        self._session.send_to_worker(Message("checkpoint", members, tensors))

    def _wait_for(self, wanted, deadline, payload_bytes_max):
        while True:
            if wanted == "trained":
                self._wait_in_training(deadline)
            message = self._channel.receive(deadline, payload_bytes_max)
            if wanted == "trained" and self._is_about_saving(message):
                continue
            if message.type == wanted:
                return message
            if message.type == "error":
                raise Failure("crash", str(message.members.get("message"))[:4096])
            if message.type == "rung" and wanted == "trained" and self._run.probe:
                self._report_rung(message)
                continue
            if message.type != "progress" or wanted != "trained":
                raise Failure("bad_output",
                              f"unexpected message: type={message.type[:64]} expected={wanted}")
            self._report(message)

    def _report(self, progress):
        step, loss = progress.members.get("step"), progress.members.get("loss")
        if not is_count(step):
            raise Failure("bad_output", "progress without a step")
        self._run.is_resumable = progress.members.get("resumable") is True
        if not self._has_stepped:
            self._session.send_event("first_step")
        self._has_stepped = True
        if time.monotonic() < self._report_next:
            return
        self._report_next = time.monotonic() + self.PROGRESS_INTERVAL
        members = {"step": step, "loss": loss} if type(loss) in (int, float) else {"step": step}
        self._session.send_event("progress", members)

    def _report_rung(self, answer):
        rung, run, rungs = answer.members.get("rung"), self._run, self._session.rungs
        if not is_count(rung) or not run.rung_next <= rung < len(rungs):
            raise Failure("bad_output", f"rung out of turn: rung={str(rung)[:64]}")
        run.rung_next = rung + 1
        wanted = {"outputs": (run.probe.shape, np.float32)}
        outputs = _checked(answer, wanted, finite=False)["outputs"]
        # Who answers when half of what a stop could save is gone is compared with nobody.
        if run.used() > run.budget * (1 + rungs[rung]) / 2:
            return
        # A model that has no numbers yet may still find some: it is the worst here, no failure.
        value = run.probe.score(outputs) if np.all(np.isfinite(outputs)) else run.probe.worst
        self._session.send_event("rung", {"rung": rung, "value": float(value)})


def _count_stored(state):
    """The size of a state in numbers of 4 bytes; of names what is above those of honest models."""
    if any(values.size == 0 for values in state.values()):
        raise Failure("bad_output", "tensor of the state without elements")
    size = sum(max(values.nbytes, 4) for values in state.values())
    names = sum(len(name.encode()) for name in state)
    return -(-(size + max(0, names - 64 - size // 8)) // 4)


def _checked(message, tensors, finite=True):
    if set(message.tensors) != set(tensors):
        raise Failure("bad_output", f"expected the tensors {sorted(tensors)}")
    for name, (shape, dtype) in tensors.items():
        values = message.tensors[name]
        if values.shape != tuple(shape) or values.dtype != np.dtype(dtype):
            raise Failure("bad_output", f"tensor {name} is {values.dtype}{list(values.shape)}, "
                                        f"expected {np.dtype(dtype)}{list(shape)}")
        if finite and not np.all(np.isfinite(values)):
            raise Failure("not_finite", f"tensor {name} holds NaN or an infinity")
    return message.tensors


class Session:
    """The judge's side of one evaluation. Made by run_judge()."""

    WORKER_SECONDS = 120

    def __init__(self, worker):
        self.worker = worker
        begin = worker.receive(time.monotonic() + self.WORKER_SECONDS, descriptors=True)
        if begin.type != "begin":
            raise FrameError(f"expected begin: {begin.type}")
        self.seed, self.split = int(begin["seed"]), begin["split"]  # A seed no candidate can find.
        self.task_seed = int(begin.members.get("task_seed", 0))  # For data drawn once and for all.
        self.parameters = begin.members.get("parameters", {})
        self.threads, self.device = begin["threads"], begin["device"]
        self.deadline = time.monotonic() + begin["run_seconds"]
        self.rungs = begin.members.get("rungs", [])  # Shares of the training's budget.
        self.saved = None  # Of the first training, for the candidate.
        if checkpoint := begin.members.get("checkpoint"):
            self.saved = Message("resume", checkpoint, begin.tensors)
            if self.saved["used_seconds"] < 0 or self.saved["steps"] < 0:
                raise FrameError("begin with a bad checkpoint")

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
        self.send_to_worker(Message("start_candidate"))
        started = self.worker.receive(time.monotonic() + self.WORKER_SECONDS, descriptors=True)
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

    def expect_save(self):
        """Takes the only message that a worker sends during a training."""
        try:
            asked = self.worker.receive(time.monotonic() + self.WORKER_SECONDS).type
        except FrameError as error:  # Not the candidate's.
            raise RuntimeError("the worker hung up") from error
        if asked != "save":
            raise RuntimeError(f"expected save: {asked}")

    def end_candidate(self):
        """Kills the candidate's whole sandbox."""
        self.send_to_worker(Message("end_candidate"))

    def send_event(self, name, members=None):
        self.send_to_worker(Message("event", dict(members or {}, name=name)))

    def finish(self, outcome, verdict):
        metrics = {name: float(value) for name, value in verdict.metrics.items()}
        if not all(map(math.isfinite, metrics.values())):
            outcome, metrics = "not_finite", {}
        self.send_to_worker(Message("result", {"outcome": outcome, "metrics": metrics,
                                      "diagnostics": verdict.diagnostics[:4096],
                                      "behaviour_digest": verdict.behaviour_digest}))

    def send_to_worker(self, message):
        self.worker.send(message, time.monotonic() + self.WORKER_SECONDS)


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
