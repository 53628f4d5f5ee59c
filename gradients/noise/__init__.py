"""Random perturbations."""
