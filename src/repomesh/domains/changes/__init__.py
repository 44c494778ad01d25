"""Changes on their way into the target branch: submitted, checked, approved, landed, or given back."""
