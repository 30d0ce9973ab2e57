"""How good captions are, beside what people wrote."""
