"""A second opinion on NetworkPolicy YAML: network-config-analyzer's, and one straight from the API text."""
