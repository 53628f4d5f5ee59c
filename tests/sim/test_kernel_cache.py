"""A kernel cache that cannot be written: one warning that names the way out, and the right numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import warnings
from pathlib import Path
import numpy as np
import warp as wp

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    from carom import kernel_cache
    from carom.sim.devices import check_device

    def refuse(**options):
        raise PermissionError(f"{options['dir']} may not be written")

    if sys.argv[1] == "read-only":  # which it never is to root, who runs tests in containers
        kernel_cache.tempfile.TemporaryFile = refuse
    check_device("cpu")
    kernel_cache.start_warp()

@wp.kernel(enable_backward=False)
def double(x: wp.array(dtype=float)):
    x[wp.tid()] *= 2.0

x = wp.array([1.0, 2.0], dtype=float)
wp.launch(double, dim=2, inputs=[x])
assert x.numpy().tolist() == [2.0, 4.0]
used = Path(wp.config.kernel_cache_dir)
print(*(str(w.message) for w in seen if w.category is kernel_cache.KernelCacheWarning), sep="\\n")
print("compiled", [p.name for p in used.iterdir() if not p.is_symlink() and p.name.startswith("wp_")])
print(used)
"""


@pytest.fixture
def use(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(cache, kind=""):
        """Warnings, whether a kernel was compiled, and the folder used."""
        done = subprocess.run(
            [sys.executable, program, kind], env=os.environ | {"WARP_CACHE_PATH": str(cache)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = done.stdout.split("\n")[:-1]
        at = next(i for i, line in enumerate(lines) if line.startswith("compiled"))
        return [line for line in lines[:at] if "kernel cache" in line], lines[at] != "compiled []", lines[at + 1]

    return run


@pytest.mark.parametrize(
    "kind", ["below a file", *(pytest.param(k, marks=pytest.mark.slow) for k in ("a file", "of the kernel"))]
)
def test_a_cache_that_cannot_be_made(kind, use, tmp_path):
    (tmp_path / "file").write_text("")
    cache = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "x", "of the kernel": "/proc/none"}[kind]
    (told,), compiled, used = use(cache)
    assert str(cache) in told
    assert "WARP_CACHE_PATH" in told
    assert str(Path(used).parent) in told
    assert compiled
    assert not os.path.exists(used)


def test_a_cache_that_can_be_read_alone(use, tmp_path):
    told, compiled, used = use(tmp_path / "cache")
    assert told == []
    assert compiled
    assert used.startswith(str(tmp_path))
    (told,), compiled, used = use(tmp_path / "cache", "read-only")
    assert "may not be written" in told
    assert not compiled
    assert used in told
