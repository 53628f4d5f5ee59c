"""Report of a comparison: tables, verdicts, figures, and the folder they are written to."""
