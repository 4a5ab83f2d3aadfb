"""The benchmarks of the paper as tasks of lm-evaluation-harness: what their YAML files, beside the judges, refer to."""
