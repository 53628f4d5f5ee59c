"""The numbers of a comparison and what they mean; nothing is drawn here."""
