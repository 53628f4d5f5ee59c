"""The minimum of a step's energy and its adjoint: dense, islands, line search, block Cholesky."""
