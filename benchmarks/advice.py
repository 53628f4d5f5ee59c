"""The score of the advice at full effort and at a tenth of it: false statements, regret, stability, coverage.

    python benchmarks/advice.py                   all problems, 20 seeds; most of an hour
    python benchmarks/advice.py --seeds 4         less

The same numbers as ``carom selftest advice``; exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys

import torch

from carom.quiet import init_warp
from carom.selftest.advice import AdviceScore, as_dict, score_advice


def reached(score: AdviceScore) -> bool:
    """Whether all targets are reached."""
    few = score.effort < 1.0
    return (
        score.rate("false_agrees", "verdicts") <= 0.01
        and score.rate("false_differs", "verdicts") <= 0.01
        and (score.rate("answered", "verdicts") >= 0.4 if few else score.contradicted <= 0.05)
        and all(score.regret(name, 0.5) <= 1.1 for name in ("slope_regrets", "race_regrets"))
        and all(score.regret(name, 0.95) <= 1.5 for name in ("slope_regrets", "race_regrets"))
    )


def main() -> int:
    """Run both efforts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--effort", type=float, nargs="*", default=[1.0, 0.1])
    parser.add_argument("--problems", nargs="*")
    parser.add_argument("--out", help="file for all numbers (JSON)")
    options = parser.parse_args()
    init_warp()
    torch.set_num_threads(1)
    scores = []
    for effort in options.effort:
        scores.append(
            score_advice(
                seeds=options.seeds,
                effort=effort,
                names=options.problems,
                progress=lambda line: print(line, flush=True),
            )
        )
        print("\n".join(scores[-1].lines()), flush=True)
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump([as_dict(score) for score in scores], file)
    return 0 if all(reached(score) for score in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
