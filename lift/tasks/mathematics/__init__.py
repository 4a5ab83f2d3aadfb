"""Answers in mathematics, of MATH500 and AIME: read by us, compared by math-verify in a process of its own."""
