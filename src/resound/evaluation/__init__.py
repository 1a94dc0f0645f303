"""What outputs are worth: scores beside baselines, comparisons that are true, and pages worth showing."""
