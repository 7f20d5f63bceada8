"""What tests run in other processes. Every process imports this module, so it imports little itself."""

import os
import signal
import time


class MeanColour:
    """A feature extractor with three features."""

    name, dims = "mean-colour", 3

    def __call__(self, pixels, levels, track=None):
        return pixels.double().mean(dim=(2, 3)) / (levels - 1)


def rank_and_sum(weights):
    weights += 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), weights.sum().item()


def fail_in_one(error):
    if os.environ["RANK"] == "1":
        raise error
    time.sleep(60)  # until the parent ends this process


def die():
    os._exit(3)


def interrupt_parent():
    if os.environ["RANK"] == "1":
        os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)


def write_pid(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(60)


def diverging_in_one(network, batch, key):
    """An objective that is NaN in one process."""
    from pixelbayes.training.objectives import likelihood_loss

    return likelihood_loss(network, batch, key) * (float("nan") if os.environ["RANK"] == "1" else 1.0)


def interrupted_in_one(network, batch, key):
    """An objective that sends SIGTERM to one process."""
    from pixelbayes.training.objectives import likelihood_loss

    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    return likelihood_loss(network, batch, key)
