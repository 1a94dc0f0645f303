"""A linter for training: names what is wrong with data, plans, runs and results, with the number that proves it."""
