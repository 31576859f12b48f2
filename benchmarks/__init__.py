"""Measurements that anyone can repeat: `make bench`. The plain methods run beside ours, in one run."""
