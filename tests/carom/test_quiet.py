"""What a program that imports carom writes to standard error on a machine without a GPU."""

import subprocess
import sys

PROGRAM = """
import os, sys, carom, carom.kernel_cache as cache
real = cache.wp.init
def init():
    real()
    os.write(2, b"something else\\n")
    {failing}
cache.wp.init = init
b = carom.ModelBuilder()
b.add_sphere(b.add_body(), 0.1)
b.finalize()
"""


def ran(failing: str) -> subprocess.CompletedProcess:
    program = PROGRAM.replace("{failing}", failing)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_the_remark_on_the_driver_is_kept_back_and_nothing_else():
    done = ran("pass")
    assert done.returncode == 0
    assert done.stderr == "something else\n"


def test_nothing_is_lost_where_warp_does_not_start():
    done = ran("raise RuntimeError('no')")
    assert "something else\n" in done.stderr
    assert "RuntimeError: no" in done.stderr
    assert "CUDA driver" not in done.stderr
