"""What must hold, whatever happens: after each write to S3, over time, and at the end. Apart from the world."""
