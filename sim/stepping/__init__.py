"""Running a model: buffers, plain steps, impact steps, launch graphs, torch."""
