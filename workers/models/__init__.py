"""The networks, their weights, and the shelf of warm models."""
