"""Tests of the proof: it sees every change of meaning, and what it prints adds up."""
