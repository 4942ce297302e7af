"""What a folder costs in memory. Oracle: tracemalloc's count, beside what names and sizes take."""

import gc
import sys
import tracemalloc

from diffloom.kinds import ImageInfo
from diffloom_data import ImageFolder

COUNT = 3000
SHAPE = ImageInfo(height=1, width=1, channels=3)


def test_of_a_picture_only_its_name_size_and_label_are_kept(tmp_path):
    """So 200,000 pictures take some 25 MB, decoded or remembered."""
    for number in range(COUNT):
        path = tmp_path / f"{number % 2}" / f"{number:06}.ppm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"P6 1 1 255 " + bytes([number % 256, 0, 0]))
    component = ImageFolder(path=str(tmp_path))
    component.build(image=SHAPE)  # what is imported and cached once for all
    gc.collect()
    tracemalloc.start()
    examples = component.build(image=SHAPE)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(examples) == COUNT
    # The name, its place in a list that grows by eighths, two numbers of its size and its label in 4 bytes each.
    each = sys.getsizeof("0/000000.ppm") + 8 * 9 / 8 + 3 * 4
    assert kept / COUNT < each + 32  # and little that does not grow with them
