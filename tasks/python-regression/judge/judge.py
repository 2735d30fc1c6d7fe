"""The judge of Friedman's first problem (Friedman, "Multivariate adaptive regression splines",
Annals of Statistics 19, 1991): generates the data, trains a candidate, scores its predictions."""

import sys
import time

import cambrian_sdk
import numpy as np

PREDICT_SECONDS = 30
PROBE_EXAMPLES = 500


def make_examples(rng, count):
    """Inputs [count, 10] uniform in 0..1, targets [count, 1] with noise of deviation 1."""
    x = rng.random((count, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y += 10 * x[:, 3] + 5 * x[:, 4] + rng.standard_normal(count)
    return x.astype(np.float32), y[:, None].astype(np.float32)


def make_probe(session):
    """Examples for the rungs: from numbers of their own, neither trained on nor scored with."""
    inputs, targets = make_examples(np.random.default_rng([session.seed, 3]), PROBE_EXAMPLES)
    return cambrian_sdk.Probe(inputs, targets.shape, lambda outputs: rmse_of(outputs, targets),
                              worst=sys.float_info.max)


def squares_of(outputs, targets):
    return (outputs.astype(np.float64) - targets) ** 2


def rmse_of(outputs, targets):
    return float(np.sqrt(squares_of(outputs, targets).mean()))


def judge(session):
    sizes = {name: int(session.parameter(name, otherwise, 1, 1_000_000))
             for name, otherwise in (("train", 200), ("validation", 1000))}
    # Training data follow from the seed alone, held-out data from the seed and the split.
    train = make_examples(np.random.default_rng([session.seed, 0]), sizes["train"])
    stream = 2 if session.split == "sealed" else 1
    inputs, targets = make_examples(np.random.default_rng([session.seed, stream]),
                                    sizes["validation"])
    budget = session.parameter("train_seconds", 30, 0.01, 86400)
    grace = session.parameter("grace_seconds", 1 + 0.1 * budget, 0, 86400)

    trainer = session.start_candidate("train")
    trained = trainer.train({"inputs": train[0], "targets": train[1]}, budget, grace,
                            probe=make_probe(session))
    trainer.finish()
    session.end_candidate()
    predictor = session.start_candidate("predict")
    # One time for both: with as much for each, a candidate could go on training here.
    loading = time.monotonic()
    predictor.load(trained.state, PREDICT_SECONDS)
    outputs = predictor.predict(inputs, targets.shape,
                                PREDICT_SECONDS - (time.monotonic() - loading))
    predictor.finish()

    squares = squares_of(outputs, targets)
    rmse = rmse_of(outputs, targets)
    # By the delta method, from the spread of the squared errors. Without errors there is none.
    error = 0.0
    if rmse > 0 and squares.size > 1:
        error = float(squares.std(ddof=1) / np.sqrt(squares.size) / (2 * rmse))
    return cambrian_sdk.Verdict(
        metrics={
            "rmse": rmse,
            "rmse_standard_error": error,
            "parameters": trained.stored_scalars,
            "steps": trained.steps,
            "train_seconds": trained.seconds,
        },
        behaviour_digest=cambrian_sdk.behaviour_digest(outputs),
    )


cambrian_sdk.run_judge(judge)
