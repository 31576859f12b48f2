"""What computes: networks, inference, weights, the warm worker, the renderers of result formats."""
