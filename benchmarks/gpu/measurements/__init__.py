"""The measurements of a run, by what they time; `catalogue` lists them all in the order in which they run."""
