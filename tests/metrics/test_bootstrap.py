import pytest
import torch

from pixelbayes.metrics import bootstrap
from pixelbayes.metrics.bootstrap import basic_interval, percentile_interval, portions, resampled_means


def seeded():
    return torch.Generator().manual_seed(0)


def test_means_over_resamples_scatter_by_the_standard_error():
    values = torch.randn(50, 2, generator=seeded(), dtype=torch.float64) * torch.tensor([1.0, 3.0])
    means = resampled_means(values, seeded(), resamples=4000)
    assert means.shape == (4000, 2)
    torch.testing.assert_close(means.mean(dim=0), values.mean(dim=0), atol=0.03, rtol=0)
    torch.testing.assert_close(means.std(dim=0), values.std(dim=0, correction=0) / 50**0.5, atol=0, rtol=0.05)


def test_columns_are_resampled_together():
    values = torch.randn(7, 1, generator=seeded(), dtype=torch.float64)
    means = resampled_means(torch.cat([values, 2 * values], dim=1), seeded())
    torch.testing.assert_close(means[:, 1], 2 * means[:, 0])


def test_memory_is_bounded_and_no_resample_lost(monkeypatch):
    monkeypatch.setattr(bootstrap, "NUMBERS_AT_A_TIME", 30)
    assert portions(10, n=7) == [4, 4, 2]
    assert portions(3, n=1000) == [1, 1, 1]
    assert resampled_means(torch.ones(7, 1, dtype=torch.float64), seeded(), resamples=10).tolist() == [[1]] * 10


def test_the_percentile_interval_is_the_middle_of_the_draws():
    assert percentile_interval(torch.arange(1001, dtype=torch.float64)) == pytest.approx((25, 975))


def test_the_basic_interval_mirrors_the_draws_and_ends_at_zero():
    draws = torch.arange(1001, dtype=torch.float64)  # 25 .. 975, mirrored at 900: 825 .. 1775
    assert basic_interval(900, draws) == pytest.approx((825, 1775))
    assert basic_interval(10, draws) == (0, 0)
