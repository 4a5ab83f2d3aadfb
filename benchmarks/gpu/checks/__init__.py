"""The checks of the accuracy matrix, by what they look at; `matrix` lists them all with their shapes."""
