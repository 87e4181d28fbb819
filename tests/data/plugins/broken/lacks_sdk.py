import absent_sdk  # type: ignore[import-not-found] # that is the point

__all__ = ["absent_sdk"]
