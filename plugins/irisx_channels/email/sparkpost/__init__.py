"""Mail through SparkPost."""
