"""The service catalog: its file, edits of its own lines alone, and changes that people review."""
