"""Studies with one consolidated report to (X-ray, text, body part) triplets (section 2.1 of the paper)."""
