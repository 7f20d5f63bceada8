"""The cached sampler, which computes each position of each layer once."""

from pixelbayes.inference.cached.sampler import CachedSampler, sample_cached

__all__ = ["CachedSampler", "sample_cached"]
