"""What is checked of directors and their tables before and after a change."""
