"""One file an estimator; smoothing/ and boundary/ are folders."""
