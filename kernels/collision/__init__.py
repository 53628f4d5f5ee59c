"""Contact detection: the features of shapes that are near, and contact geometry from them."""
