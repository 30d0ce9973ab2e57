"""Sentences that say what is heard."""
