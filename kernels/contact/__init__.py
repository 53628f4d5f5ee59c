"""Contact laws: hard, softened, resistance, friction of faces; contact rows; forces."""
