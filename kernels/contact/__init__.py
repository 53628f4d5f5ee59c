"""What a contact does: hard, softened, resistance, friction of faces; contact rows; forces."""
