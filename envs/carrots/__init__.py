"""The carrot pile: small irregular pieces on a table, pushed by a blade into a square."""

from .blade import Blade
from .cache import CacheWarning
from .cutting import Piece, cut_carrot
from .lyapunov import Square
from .randomize import Randomize
from .task import Carrots

__all__ = ["Blade", "CacheWarning", "Carrots", "Piece", "Randomize", "Square", "cut_carrot"]
