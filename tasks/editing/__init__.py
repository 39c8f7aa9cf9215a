"""The driver: takes batches through fetch, preflight, routing, sending, the quality gate and storing, within money, limits and memory."""
