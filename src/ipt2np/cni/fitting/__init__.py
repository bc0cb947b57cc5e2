"""From a plan to rules: what a target's vocabulary can say of it, grouped, as blocks, within limits."""
