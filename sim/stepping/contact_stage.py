"""Rows and solver of one contact law."""

from __future__ import annotations

from dataclasses import dataclass

from ...kernels.contact.row_arrays import ContactRows
from .contact_solver import Solver

__all__ = ["ContactStage"]


@dataclass(frozen=True)
class ContactStage:
    """Contact rows of a batch, with resistance or without, softened or not, and the solver that takes them."""

    rows: ContactRows
    solver: Solver

    @property
    def key(self) -> tuple[bool, bool]:
        """Whether contacts have resistance, and whether they are softened."""
        return self.rows.resists, self.rows.softens
