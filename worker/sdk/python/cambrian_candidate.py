"""The candidate's side of Cambrian's frame protocol in Python; cambrian_sdk offers it."""

import contextlib
import ctypes
import math
import pickle
import random
import sys
import time
import typing

import numpy as np
from cambrian_frames import CHECKPOINT_BYTES_MAX, Channel, FrameError, Message, StreamClosed

_PATIENCE_SECONDS = 7 * 24 * 3600


class Setup(typing.NamedTuple):
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
        self._parts, self._saved = None, None
        self._rungs, self._rung_next, self._predict = [], 0, None
        self._free, self._free_used = 0.0, 0.0

    def answer_at(self, rungs, free_seconds, predict):
        """Answers with predict() at these shares of the budget, within step(). Called by the SDK.
        So much of the time that it takes does not count as time of the training."""
        self._rungs, self._free, self._predict = rungs, free_seconds, predict

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

    def make_resumable(self, *parts):
        """Says that this training can be interrupted and go on in another process: from what
        state_dict() of each part gives (model, optimiser, schedule), from the global random numbers
        of Python, NumPy and PyTorch, and from what this object counts. Call it right before the
        loop, with step() the last thing in it, and only where nothing else changes from step to
        step. At rungs that are behind it, it does not answer again. Without this, an interrupted
        training begins anew."""
        self._parts = parts
        if self._saved is None:
            return
        saved, self._saved = self._saved, None
        _resume_parts(parts, saved.tensor("parts"))
        self.steps = saved["steps"]
        self._free_used = saved.members.get("rung_seconds", 0.0)
        self._start -= saved["used_seconds"] - self._free_used
        self._pass_rungs(self.progress())
        self._channel.send(Message("resumed"), time.monotonic() + _PATIENCE_SECONDS)

    def begin_from(self, saved):
        """What another process left of this training, or None. Called by run_candidate()."""
        self._saved = saved

    def step(self, loss=None):
        """Call it once in each step. A loss, number or tensor, is read only when it is reported."""
        due = self.steps == 0 or time.monotonic() >= self._report_next
        self.steps += 1
        if due:
            self._report(loss)
        if self._rung_next < len(self._rungs):
            self._answer_if_due()
        if due:
            self._save_if_asked()

    def _report(self, loss):
        self._report_next = time.monotonic() + self.REPORT_INTERVAL
        members = {"step": self.steps}
        if loss is not None:
            value = float(loss)
            self._diverged |= not math.isfinite(value)  # For good: more steps cannot mend it.
            if math.isfinite(value):
                members["loss"] = value
        if self._parts is not None:
            members["resumable"] = True
        self._channel.send(Message("progress", members), time.monotonic() + _PATIENCE_SECONDS)

    def _pass_rungs(self, reached):
        while self._rung_next < len(self._rungs) and reached >= self._rungs[self._rung_next]:
            self._rung_next += 1

    def _answer_if_due(self):
        reached = self.progress()
        # Of a training that is over, the state itself is asked for.
        if not self._rungs[self._rung_next] <= reached < 1:
            return
        self._pass_rungs(reached)  # A long step may pass several.
        asked = time.monotonic()
        try:
            answer = Message("rung", {"rung": self._rung_next - 1}, {"outputs": self._predict()})
        except Exception as error:  # It may work when the training is done, and that counts.
            print("candidate: no answer at a rung:", error, file=sys.stderr)
            self._rungs = []
            return
        self._channel.send(answer, time.monotonic() + _PATIENCE_SECONDS)
        free = max(0.0, min(time.monotonic() - asked, self._free - self._free_used))
        self._free_used += free
        self._start += free

    def _save_if_asked(self):
        forever = time.monotonic() + _PATIENCE_SECONDS
        # Nothing else comes while a training runs; and what has not come is not waited for.
        while self._channel.has_something():
            asked = self._channel.receive(forever, descriptors=True)
            if asked.type != "save":
                raise FrameError(f"not now: {asked.type}")
            members = {"steps": self.steps, "rung_seconds": self._free_used}
            self._channel.send(Message("checkpoint", members, _save_parts(self._parts)), forever)


def _save_parts(parts):
    """The array of a checkpoint by its name; none where there can be none."""
    if parts is None:
        return {}
    state = {"parts": [part.state_dict() for part in parts], "python": random.getstate(),
             "numpy": np.random.get_state()}
    if torch := sys.modules.get("torch"):
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
    content = pickle.dumps(state)
    if len(content) > CHECKPOINT_BYTES_MAX:
        return {}
    return {"parts": np.frombuffer(content, np.uint8)}


def _resume_parts(parts, content):
    # By a process of the same program, in a sandbox like this one's: no more to be feared than it.
    state = pickle.loads(content.tobytes())
    for part, saved in zip(parts, state["parts"], strict=True):
        part.load_state_dict(saved)
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    if torch := sys.modules.get("torch"):
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state_all(state["cuda"])


def _respond(candidate, setup, message, channel, saved):
    if message.type == "train":
        training = Training(message["budget_seconds"], int(setup.parameters.get("steps", 0)),
                            channel)
        training.begin_from(saved)
        # What the judge asks at rungs is no training data.
        probe = message.tensors.pop("probe") if "rungs" in message.members else None
        if probe is not None and hasattr(candidate, "probe"):
            training.answer_at(message["rungs"], message["rung_seconds"],
                               lambda: candidate.probe(probe))
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


def _zero_torch_memory():
    """As zero_fresh_memory() in torch_candidate.cpp, which says why. What is imported only in a
    training comes too late for it."""
    if (torch := sys.modules.get("torch")) is None:
        return
    try:
        # A handle finds what its library was linked with.
        library = ctypes.CDLL(torch._C.__file__)
        ctypes.c_bool.in_dll(library, "FLAGS_caffe2_cpu_allocator_do_zero_fill").value = True
    except (AttributeError, OSError, ValueError) as error:
        print("candidate: PyTorch's memory is as it was left:", error, file=sys.stderr)


def run_candidate(make_candidate):
    """Speaks with the judge until it says bye or hangs up. make_candidate(setup) returns an object
    with the methods that the task's judge asks for:
        train(data, training)  data: name to array; returns the state: name to array
        load(state)            takes up a state that an earlier process gave
        predict(inputs)        returns the outputs, an array
        probe(inputs)          the same in the middle of a training, which must go on as if nothing
                               had been asked; without it, the candidate is never stopped early
        answer(question)       returns the answer; both are Messages
    An exception ends the evaluation as a crash."""
    channel, forever = Channel.from_environment(), time.monotonic() + _PATIENCE_SECONDS
    _zero_torch_memory()
    try:
        hello = channel.receive(forever, descriptors=True)
        setup = Setup(hello["phase"], int(hello["seed"]), hello["threads"], hello["device"],
                      hello.members.get("parameters", {}))
        candidate = make_candidate(setup)
        _zero_torch_memory()  # It may have been imported just now.
        channel.send(Message("ready"), forever)
        saved = None
        while (message := channel.receive(forever, descriptors=True)).type != "bye":
            if message.type == "resume":
                saved = message
            elif message.type != "save":  # That came too late: the training is done.
                channel.send(_respond(candidate, setup, message, channel, saved), forever)
                saved = None
    except StreamClosed:
        pass  # The judge has what it wanted.
    except Exception as error:  # Whatever the candidate's code throws goes to the judge.
        text = f"{type(error).__name__}: {error}"
        print("candidate:", text, file=sys.stderr)
        with contextlib.suppress(FrameError, OSError):
            channel.send(Message("error", {"message": text[:4096]}), forever)
        sys.exit(1)
