"""Tasks: pushing, and small testbeds with closed-form gradients."""
