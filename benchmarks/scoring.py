"""All classes of an image: one reference pass per class, against one pass that shares work between classes."""

from functools import partial
from typing import Any

import torch

from benchmarks.networks import forward_flops, network
from benchmarks.sampling import peak_memory
from benchmarks.timing import interleaved, peak_flops
from pixelbayes.inference import BayesClassifier, Scorer


def scoring(classes: int, device: str, repeats: int, fusion: str = "film", images: int = 64) -> dict[str, Any]:
    """One row: images per second, classified with some number of classes."""
    where = torch.device(device)
    net = network(32, where, fusion, classes)
    x = 2 * torch.rand(images, 3, 32, 32, device=where) - 1
    classifiers = {
        "reference": BayesClassifier(net, torch.zeros(classes)),
        "one_pass": BayesClassifier(Scorer(net, compiled=False), torch.zeros(classes)),
        "compiled": BayesClassifier(Scorer(net, compiled=True), torch.zeros(classes)),
        "bf16": BayesClassifier(Scorer(net, compiled=True, precision="bf16"), torch.zeros(classes)),
    }
    took = interleaved({name: partial(classifier.log_prob, x) for name, classifier in classifiers.items()}, repeats)
    floor = images * classes * forward_flops(net) / peak_flops(where, torch.float32)
    return {
        "work": "scoring",
        "device": device,
        "fusion": fusion,
        "classes": classes,
        **{f"{name}_images_per_second": images / seconds for name, seconds in took.items()},
        "speedup": took["reference"] / took["compiled"],
        "bf16_speedup": took["reference"] / took["bf16"],
        "share_of_floor": floor / took["compiled"],
        "peak_memory_mib": peak_memory(where),
    }
