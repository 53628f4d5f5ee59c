"""Gradients with respect to the probabilities of categorical choices, e.g. which of several pushes to make.

An objective is a callable from choices [batch, factors], integers in [0, categories), to costs [batch]. Parameters are
logits [factors * categories] of independent factors; the gradient is that of the expected cost.
"""

from .choices import CategoricalObjective, RelaxedObjective
from .concrete import Concrete
from .enumeration import Enumeration
from .rebar import REBAR
from .reinforce import REINFORCE
from .relax import RELAX

__all__ = ["REBAR", "REINFORCE", "RELAX", "CategoricalObjective", "Concrete", "Enumeration", "RelaxedObjective"]
