"""Reports: the same facts for a terminal and for machines."""
