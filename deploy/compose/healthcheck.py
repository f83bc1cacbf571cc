#!/usr/bin/env -S python3 -IS
"""Exit status 0 if http://127.0.0.1:PORT/PATH answers 200: visavis-health PORT PATH."""

import http.client
import sys

TIMEOUT_S = 3.0


def main() -> int:
    """Ask once; what the service says of its state goes into the health log."""
    port, path = sys.argv[1:]
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        print(answer.read(500).decode(errors="replace").strip())
    except OSError as error:
        print(error)
        return 1
    finally:
        connection.close()
    return int(answer.status != 200)


if __name__ == "__main__":
    sys.exit(main())
