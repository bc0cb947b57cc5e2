"""Policies that exist: files to API objects that know their lines, and what each of their rules matches."""
