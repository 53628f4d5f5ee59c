"""What a comparison looks like: tables, verdicts in words, figures, and the folder they are written to."""
