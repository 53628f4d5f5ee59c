"""The picture of docs/measurements/training.md: success on validation goals, for each gradient.

for g in autodiff softened mixed lax smoothing ppo; do carom train push --gradient $g --out runs/$g; done
python docs/training_picture.py runs/* docs/images/training.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from carom.render.style import RC, looks


def main() -> None:
    """Read ``results.json`` of every run, and draw."""
    *folders, out = map(Path, sys.argv[1:])
    runs = {}
    for folder in folders:
        found = json.loads((folder / "results.json").read_text())
        runs[found["gradient"]] = found
    looked = looks(runs)
    with plt.rc_context(RC):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.4), sharey=True, layout="constrained")
        for name, found in runs.items():
            history = found["history"]
            success = np.array(history["validation_success"], dtype=float)
            seen = np.isfinite(success)
            end = f"{name}: {100 * found['evaluation']['success']:.0f} %"
            for axes, at in ((left, np.array(history["steps"]) / 1e6), (right, np.cumsum(history["core_seconds"]))):
                look = looked[name]
                axes.plot(
                    at[seen], 100 * success[seen], look.marker + "-", color=look.color, ms=3, lw=1.4, label=end,
                    dashes=look.dashes or (None, None),
                )  # fmt: skip
        for axes in (left, right):
            axes.axhline(90, color="0.6", lw=0.8, dashes=(4, 3))
        left.set_xlabel("control intervals [millions]")
        left.set_ylabel("success on 128 validation goals [%]")
        right.set_xlabel("core seconds")
        figure.legend(
            *right.get_legend_handles_labels(), title="512 test goals,\nat the end", loc="outside right center"
        )
        figure.savefig(out, dpi=110)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
