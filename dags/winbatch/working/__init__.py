"""The parts of a worker (`winbatch.worker`), each with one reason to change."""
