import pytest
import torch

from pixelbayes.metrics import bootstrap
from pixelbayes.metrics.bootstrap import basic_interval, chunk_sizes, percentile_interval, resampled_means


def seeded():
    return torch.Generator().manual_seed(0)


def test_resampled_means_have_the_mean_and_the_standard_error_of_the_values():
    values = torch.randn(50, 2, generator=seeded(), dtype=torch.float64) * torch.tensor([1.0, 3.0])
    means = resampled_means(values, seeded(), resamples=4000)
    assert means.shape == (4000, 2)
    torch.testing.assert_close(means.mean(dim=0), values.mean(dim=0), atol=0.03, rtol=0)
    torch.testing.assert_close(means.std(dim=0), values.std(dim=0, correction=0) / 50**0.5, atol=0, rtol=0.05)


def test_columns_are_resampled_together():
    values = torch.randn(7, 1, generator=seeded(), dtype=torch.float64)
    means = resampled_means(torch.cat([values, 2 * values], dim=1), seeded())
    torch.testing.assert_close(means[:, 1], 2 * means[:, 0])


def test_chunks_are_bounded_and_add_up_to_all_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "MAX_ELEMENTS", 30)
    assert chunk_sizes(10, n=7) == [4, 4, 2]
    assert chunk_sizes(3, n=1000) == [1, 1, 1]
    assert resampled_means(torch.ones(7, 1, dtype=torch.float64), seeded(), resamples=10).tolist() == [[1]] * 10


def test_the_percentile_interval_is_the_middle_of_the_resampled_values():
    assert percentile_interval(torch.arange(1001, dtype=torch.float64)) == pytest.approx((25, 975))


def test_the_basic_interval_is_reflected_at_the_estimate_and_never_below_zero():
    resampled = torch.arange(1001, dtype=torch.float64)  # 25 .. 975, reflected at 900: 825 .. 1775
    assert basic_interval(900, resampled) == pytest.approx((825, 1775))
    assert basic_interval(10, resampled) == (0, 0)
