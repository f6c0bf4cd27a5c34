"""A probe of a provider that is broken, in the way that its argument says."""

import os
import sys
import time

if __name__ == "__main__":
    how = sys.argv[1]
    if how == "hangs":
        time.sleep(60)
    if how == "crashes":
        os.abort()
    if how == "raises":
        raise RuntimeError("no libcudnn")
    print("what?" if how == "babbles" else '{"encoder": {"error": "no"}}')
