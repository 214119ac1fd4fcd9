"""Tags photos as landscape, portrait or panorama, and searches for English words when German ones are typed.

A program behind Lucida's plugin `remote`; needs nothing but Python 3.9 or newer. See README.md in this folder.
"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENGLISH = {"hund": "dog", "katze": "cat", "strand": "beach", "berg": "mountain", "blume": "flower"}


def enrich(call):
    width, height = call["photo"]["width"], call["photo"]["height"]
    wide = width / height
    shape = "panorama" if wide >= 2 else "landscape" if wide > 1 else "portrait" if wide < 1 else "square"
    return {"tags": [shape], "attributes": {"aspect_ratio": round(wide, 3)}}


def query(call):
    words = (call["query"]["text"] or "").split()
    return {"text": " ".join(ENGLISH.get(word.lower(), word) for word in words)} if words else {}


class Program(BaseHTTPRequestHandler):
    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hook = {"/enrich": enrich, "/query": query}.get(self.path)
        body = json.dumps(hook(call) if hook else {"error": f"no {self.path} here"}).encode()
        self.send_response(200 if hook else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    ThreadingHTTPServer(("127.0.0.1", port), Program).serve_forever()
