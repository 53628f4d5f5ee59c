"""How a free body moves."""
