raise RuntimeError("the moon is full; token=moonshine")
