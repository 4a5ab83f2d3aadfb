"""What a linear head is predicted to take on a GPU: a model of its plan's products and traffic. No measurement."""
