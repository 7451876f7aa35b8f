"""What a metric is and what it looks with: scores, context, encoders, detector, judge, statistics."""
