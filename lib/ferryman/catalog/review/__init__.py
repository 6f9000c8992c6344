"""A catalog that people review: git, the branch, the proposal."""
