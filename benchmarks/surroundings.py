"""The environment that is measured in."""

AS_IN_SERVICE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""As in a worker of the service with one thread: none spins while it waits, and large maps fill huge pages.

It must be set before numpy and torch are loaded.
"""
