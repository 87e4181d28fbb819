raise RuntimeError("names that begin with _ are not plugins")
