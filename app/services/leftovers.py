"""What work that was cut short left on the disk, and may go."""

from app.services import deletion, placing, staging


def sweep() -> int:
    """Remove files of deleted frames and of uploads that broke off; return how many there were."""
    return deletion.sweep() + staging.sweep() + placing.sweep()
