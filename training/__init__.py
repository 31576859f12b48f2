"""Phantoms, losses, the training loop, evaluation."""
