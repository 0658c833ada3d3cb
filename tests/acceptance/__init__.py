"""What the project promises, tried from outside as its users meet it."""
