"""What equal settings with other seeds say about luck."""

import math
import statistics
from collections.abc import Collection, Sequence


def pooled_deviation(groups: Collection[Sequence[float]]) -> tuple[float, int]:
    """The standard deviation within groups, taken to be the same in all of them; and its degrees of freedom.

    The squared distances from the mean of each group are summed over all groups, and divided by the number of values
    less that of groups.

    Args:
        groups: Values of each group, such as the results of a network with several seeds; empty groups do not count.

    Returns:
        (0.0, 0) if no group has two values.

    >>> pooled_deviation([[1.0, 3.0], [5.0, 7.0], [9.0]])
    (1.4142135623730951, 2)
    """
    groups = [group for group in groups if group]
    degrees = sum(len(group) - 1 for group in groups)
    squares = sum((value - statistics.fmean(group)) ** 2 for group in groups for value in group)
    return (math.sqrt(squares / degrees), degrees) if degrees else (0.0, 0)
