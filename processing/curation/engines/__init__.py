"""Who may answer: a server, or a model in this process. Both are asked through language.py."""
