"""How well predicted objects agree with true ones: reads label files, counts, scores, draws; no torch."""
