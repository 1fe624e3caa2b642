"""Setting trained runs side by side."""
