"""Exact sampling in which each position of each layer is computed once."""

from pixelbayes.inference.cached.sampler import CachedSampler, sample_cached

__all__ = ["CachedSampler", "sample_cached"]
