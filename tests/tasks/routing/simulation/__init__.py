"""A run on a simulated clock: virtual vendors that keep their own limits and bill, and a driver that decides as the real one does."""
