"""A server that speaks the vendors' wires, keeps their bill, and fails when told to. Written from their documents alone."""
