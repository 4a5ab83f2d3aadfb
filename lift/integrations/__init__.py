"""LIFT inside other people's trainers. Each module imports its library at its head, so import the one you need."""
