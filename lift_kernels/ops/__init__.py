"""The public ops: signature, checks, registration with torch and autograd, over one implementation or the other."""
