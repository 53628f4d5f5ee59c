"""Names after ``import carom``, in a process of its own, as other tests import the rest."""

from __future__ import annotations

import subprocess
import sys


def test_every_name_of_the_face_is_there_after_import_carom() -> None:
    code = "import carom; print([n for n in carom.__all__ if not hasattr(carom, n)], carom.optimization.__name__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[] carom.optimization"
