"""Speech from sound and lips."""
