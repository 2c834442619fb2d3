"""How fast training and adaptation are, beside a usual implementation and beside the machine itself."""
