"""What a model can do: tasks as rows of a table, each number with its interval."""
