import numpy as np
from numpy.typing import NDArray

def spread(table: NDArray[np.bool_], codes: NDArray[np.int32]) -> NDArray[np.bool_]: ...
