"""GSM8K (arXiv 2110.14168): word problems whose answer is one number."""
