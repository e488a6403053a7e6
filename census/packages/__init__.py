"""One script a package: its data, its training with each remedy, its own metric."""
