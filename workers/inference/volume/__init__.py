"""From a grey volume to labelled objects, slice by slice: memory depends on a slice, not on their number."""
