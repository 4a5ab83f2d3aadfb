"""Ways into the switches of other libraries, each imported only when it is called."""
