"""Ways into other libraries' switches. Each imports its library only when it is called."""
