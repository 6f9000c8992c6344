"""A tape without names and addresses, that replays as the original does."""
