"""Whether intervals cover what they promise and the test is wrong as seldom, by simulation.

Differences of two systems are drawn as often as is said, with a known mean: normal ones, ones with the long tail of a
few recordings that went wrong (Student's t with 4 degrees of freedom), and skewed ones (exponential).  An interval
should hold the mean in 95 of 100, the test should tell equal systems apart in 5 of 100; of skewed differences the mean
is 0 and the median is not, so that the test, which is about symmetry, has no such promise.

    python benchmarks/evaluate_statistics.py
"""

from __future__ import annotations

from common import machine, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import numpy as np
import scipy.stats

from resound.judging.summary import interval

DRAWN = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "long-tailed": lambda rng, shape: rng.standard_t(4, shape),
    "skewed": lambda rng, shape: rng.exponential(1.0, shape) - 1.0,
}
SIZES = (8, 10, 20, 50, 100)


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--times", type=int, default=4000)
    times = parser.parse_args().times
    rows = []
    for kind, draw in DRAWN.items():
        for n in SIZES:
            values = draw(np.random.default_rng(n), (times, n))
            bounds = np.array([interval(row, n_boot=1000, seed=number) for number, row in enumerate(values)])
            covered = np.mean((bounds[:, 0] <= 0) & (bounds[:, 1] >= 0))
            p_values = scipy.stats.wilcoxon(values, zero_method="pratt", axis=1).pvalue
            wrong = f"{100 * np.mean(p_values < 0.05):.1f} %" if kind != "skewed" else "–"
            rows.append([kind, str(n), f"{100 * covered:.1f} %", wrong])
    print(f"{machine()}  Each line {times:,} experiments.\n")
    print_table(["differences", "files", "intervals that hold the mean", "equal systems told apart"], rows)


if __name__ == "__main__":
    main()
