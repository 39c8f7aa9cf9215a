"""`cleanplate dashboard`: a small local web app over any number of runs, server-rendered, with nothing fetched from outside."""
