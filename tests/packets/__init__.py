"""Tests of the packet algebra, each against brute force over a universe small enough to enumerate."""
