"""The benchmark of eleven tasks: one row a task, one method a file."""
