"""What came out of a run: its figures beside what they should be compared with, and a verdict."""
