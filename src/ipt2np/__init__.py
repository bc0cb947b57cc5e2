"""ipt2np."""
