"""What a report shows beyond one comparison: how the error of each gradient changes with its conditions."""
