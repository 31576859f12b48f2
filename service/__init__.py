"""The HTTP front end: accepts images, queues jobs, serves results; runs no model and decodes no pixel."""
