"""Other packages' losses of a linear head, one file each, behind one signature; `table` lists them by name."""
