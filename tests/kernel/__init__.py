"""The kernel judge: real packets, a real kernel, throw-away network namespaces.

Nothing in this package imports the code under test.
"""
