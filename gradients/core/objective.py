"""Calls of a user's objective, with its answers checked; and the assembly of an estimate."""

from __future__ import annotations

from typing import Any

import torch

from .error_bars import ErrorBar
