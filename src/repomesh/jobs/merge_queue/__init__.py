"""The merge queue's worker: builds changes on the target branch, checks them, and moves the branch."""
