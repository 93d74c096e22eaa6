"""All pairs: few rows in which any two values of two factors stand together at least once.

A covering array of strength 2, built factor by factor (in the order of In-Parameter-Order: Lei and Tai, 1998). What is
not covered yet is kept as one integer for each value of the factor at hand, so that a hundred factors take
milliseconds. No chance is in it: the same factors give the same rows.
"""

from collections.abc import Sequence


def pairs_cover(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Rows of values, one for each factor, as numbers below its size; sizes are 1 or more.

    Every value of every factor stands in a row, and any two values of two factors stand in one together.
    """
    order = sorted(range(len(sizes)), key=lambda factor: -sizes[factor])
    starts: list[int] = []
    total = 0
    for factor in order:
        starts.append(total)
        total += sizes[factor]
    # A row as its values in `order`, -1 where any will do, and as the bits of (factor, value) that it holds.
    rows: list[list[int]] = []
    bits: list[int] = []

    def put(row: int, column: int, value: int) -> None:
        rows[row][column] = value
        bits[row] |= 1 << (starts[column] + value)

    for column, factor in enumerate(order):
        size = sizes[factor]
        if column == 0:
            for value in range(size):
                rows.append([-1] * len(sizes))
                bits.append(0)
                put(value, 0, value)
            continue
        before = (1 << starts[column]) - 1  # all values of the factors before
        left = [before] * size
        for row in range(len(rows)):
            gains = [(bits[row] & left[value]).bit_count() for value in range(size)]
            best = max(range(size), key=gains.__getitem__)
            if gains[best]:
                put(row, column, best)
                left[best] &= ~bits[row]
        for value in range(size):
            row = 0
            while left[value]:
                earlier = (left[value] & -left[value]).bit_length() - 1
                other = max(place for place in range(column) if starts[place] <= earlier)
                for row in range(len(rows)):
                    if rows[row][other] in (-1, earlier - starts[other]) and rows[row][column] in (-1, value):
                        break
                else:
                    row = len(rows)
                    rows.append([-1] * len(sizes))
                    bits.append(0)
                put(row, other, earlier - starts[other])
                put(row, column, value)
                left[value] &= ~bits[row]
    # Where any value does, they take turns: what stands there is tried in more company.
    turned = [
        [value if value >= 0 else number % sizes[factor] for value, factor in zip(row, order, strict=True)]
        for number, row in enumerate(rows)
    ]
    back = sorted(range(len(order)), key=order.__getitem__)
    return [tuple(row[place] for place in back) for row in turned] if sizes else [()]
