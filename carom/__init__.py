"""carom: batched rigid-body contact simulation with interchangeable gradients."""
