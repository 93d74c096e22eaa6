// Keeps a page's moving part up to date: fetches it anew when its stream says «changed». Where no stream can be had
// (a server without ASGI, a proxy that buffers), it asks every three seconds. Ends when the part says it is settled.
(() => {
  const part = document.querySelector("[data-live]");
  if (!part) return;
  const said = document.getElementById(part.dataset.said);
  const PAUSE = 1000;
  const POLL = 3000;
  let source = null;
  let poll = null;
  let last = 0;
  let waiting = null;
  let spoken = part.firstElementChild.dataset.say;

  const settled = () => part.firstElementChild?.dataset.settled === "yes";

  const stop = () => {
    source?.close();
    clearInterval(poll);
    poll = null;
  };

  const fetchPart = async () => {
    waiting = null;
    last = Date.now();
    const held = part.contains(document.activeElement) ? document.activeElement : null;
    try {
      await htmx.ajax("GET", part.dataset.fragment, { target: part, swap: "innerHTML" });
    } catch {
      return; // the next event or poll tries again
    }
    if (held && !held.isConnected) {
      // whoever reads by keyboard stays where they were
      const again = held.id ? document.getElementById(held.id) : part.querySelector(`a[href="${CSS.escape(held.getAttribute("href") ?? "")}"]`);
      again?.focus({ preventScroll: true });
    }
    const now = part.firstElementChild?.dataset.say;
    if (now && now !== spoken) {
      spoken = now;
      if (said) said.textContent = now;
    }
    if (settled()) stop();
  };

  // Several events in a row make one fetch, and none is lost.
  const changed = () => {
    if (waiting === null) waiting = setTimeout(fetchPart, Math.max(0, last + PAUSE - Date.now()));
  };

  const pollInstead = () => {
    if (poll === null && !settled()) poll = setInterval(changed, POLL);
  };

  if (settled()) return;
  source = new EventSource(part.dataset.live);
  source.addEventListener("changed", () => {
    clearInterval(poll);
    poll = null;
    changed();
  });
  source.addEventListener("error", pollInstead);
  window.addEventListener("pagehide", stop);
})();
