"""Docstrings as Markdown for the API reference: brackets of shapes and units are no links."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Changes the text of every docstring before mkdocstrings renders it."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """``[batch, n] [m]`` would be a link to "m", and ``:class:`` a word."""
        if obj.docstring is not None:
            text = obj.docstring.value.replace("] [", "] \\[")
            text = re.sub(r":(?:class|func|meth|mod|attr):`~?([\w.]+)`", r"`\1`", text)
            obj.docstring.value = re.sub(r"::$", ":", text, flags=re.MULTILINE)
