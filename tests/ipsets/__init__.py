"""ipsets: what a dump says of packets, judged by an evaluator that looks at one packet at a time."""
