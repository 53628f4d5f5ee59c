"""Tasks on the simulator."""
