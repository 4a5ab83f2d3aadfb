"""What any benchmark needs: clocks, peak memory, facts of the machine, results, and workers that may crash."""
