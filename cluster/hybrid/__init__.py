"""One Ray cluster over named pools of nodes: owned hosts first, clouds when those are full, within budgets."""
