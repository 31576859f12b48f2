"""Installing models: from their publisher, from a mirror or a folder, from a lab's own files."""
