"""Connects act.py with the judge."""

import cambrian_sdk
import numpy as np

from question import Question
import act


class Examined:
    def __init__(self, setup):
        self.seed = setup.seed

    def answer(self, message):
        question = Question(message.tensor("inputs").tolist(), message.tensor("secrets").tolist(),
                            self.seed)
        answers = np.asarray(act.act(question), np.float64)
        return cambrian_sdk.Message("answer", {}, {"answers": answers})


cambrian_sdk.run_candidate(Examined)
