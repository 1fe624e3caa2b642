"""What several metrics are made from."""
