"""Image files and label maps: reading, writing, rendering; without torch."""
