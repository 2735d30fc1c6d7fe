# expect: success
# Threads, temporary files and arrays.
import concurrent.futures
import tempfile

import numpy as np

from question import honest


def act(question):
    with tempfile.TemporaryDirectory() as folder:
        np.save(folder + "/answers.npy", np.asarray(honest(question)))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return pool.submit(np.load, folder + "/answers.npy").result().tolist()
