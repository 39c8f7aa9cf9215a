"""The sub-commands of `cleanplate`, one file a group; `flows/cli.py` mounts them."""
