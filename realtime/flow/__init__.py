"""How frames move; knows nothing of faces."""
