"""Pictures of scenes: still, moving, from above and in perspective."""
