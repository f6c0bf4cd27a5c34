"""Chromium as a reader of the virtual camera: a page that takes one picture by getUserMedia and posts it back."""

import http.server
import threading
from typing import Any, Final

from tests.vm.devices import pictures
from tests.vm.kit import OUT, Steps, killed

CHROMIUM: Final = "chromium-headless-shell"
WAIT_S: Final = 280
PAGE: Final = """<!doctype html><video id=v muted playsinline></video><canvas id=c></canvas><script>
const say = (path, body) => fetch(path, {method: "POST", body});
(async () => {
  try {
    await navigator.mediaDevices.getUserMedia({video: {width: 320}}).then(s => s.getTracks().forEach(t => t.stop()));
    const all = (await navigator.mediaDevices.enumerateDevices()).filter(d => d.kind === "videoinput");
    const wanted = all.find(d => d.label.includes("liveswap"));
    if (!wanted) throw new Error("no liveswap among " + all.map(d => d.label).join(", "));
    const stream = await navigator.mediaDevices.getUserMedia({video: {deviceId: {exact: wanted.deviceId}}});
    v.srcObject = stream;
    await v.play();
    while (!v.videoWidth || v.readyState < 2) await new Promise(r => setTimeout(r, 200));
    c.width = v.videoWidth; c.height = v.videoHeight;
    c.getContext("2d").drawImage(v, 0, 0);
    const picture = await new Promise(r => c.toBlob(r, "image/png"));
    await say("/picture", picture);
    await say("/label", stream.getVideoTracks()[0].label);
  } catch (error) { await say("/error", String(error)); }
})();
</script>"""


def look(steps: Steps) -> dict[str, Any]:
    """Chromium opens a page that takes a picture of the camera named liveswap and posts it back."""
    got: dict[str, bytes] = {}
    posted = threading.Event()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def do_POST(self) -> None:
            got[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            if self.path in ("/label", "/error"):
                posted.set()

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-hang-monitor"]
    flags += ["--use-fake-ui-for-media-stream", "--user-data-dir=/tmp/chromium", "--disable-extensions"]
    flags += ["--disable-background-networking", "--autoplay-policy=no-user-gesture-required"]
    browser = steps.start([CHROMIUM, *flags, f"http://127.0.0.1:{server.server_port}/"], "chromium.log")
    try:
        came = posted.wait(WAIT_S)
    finally:
        killed(browser)
        server.shutdown()
    if "/picture" in got:
        (OUT / "chromium-01.png").write_bytes(got["/picture"])
    text = {path: got[path].decode() for path in ("/label", "/error") if path in got}
    return {"came": came, "pictures": pictures("chromium"), "label": text.get("/label"), "error": text.get("/error")}
