"""What each view shows: pure functions from the cluster to pages."""
