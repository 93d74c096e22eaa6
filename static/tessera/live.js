// Keeps the moving parts of a page up to date: fetches a part anew when its stream says «changed», and swaps it in where
// it really is another one. Where no stream can be had (a server without ASGI, a proxy that buffers), it asks now and
// then. A page that nobody sees lets its stream go: browsers allow few connections to a server.
//
// On the part: data-live (the stream), data-fragment (where the part comes from), data-said (the live region's id);
// data-pause and data-poll (milliseconds between two fetches, and between two questions without a stream);
// data-moved (what to say when the part changed), data-stale (the id of what makes no sense any more then).
// On the part's first element: data-say (what to say once it reads otherwise), data-settled="yes" (nothing more comes).
(() => {
  const ANEW = 60000;
  const LONGEST = 30000; // milliseconds that an answer may take
  let under_way = 0; // requests of the page itself: what they bring is not news from elsewhere
  const ended = [];

  // What a text of HTML shows, however it is spelt.
  const plain = (html) => {
    const parsed = document.createElement("template");
    parsed.innerHTML = html;
    for (const one of parsed.content.querySelectorAll("details[open][id]")) one.removeAttribute("open");
    return parsed.innerHTML.replace(/\s+/g, " ").trim();
  };

  const follow = (part) => {
    const said = document.getElementById(part.dataset.said);
    const pause = Number(part.dataset.pause ?? 1000);
    const every = Number(part.dataset.poll ?? 3000);
    let source = null;
    let poll = null;
    let anew = null;
    let last = 0;
    let waiting = null;
    let put_off = false;
    let asking = false;
    let again = false;
    let spoken = part.firstElementChild?.dataset.say;

    const settled = () => part.firstElementChild?.dataset.settled === "yes";

    const stop = () => {
      source?.close();
      source = null;
      clearInterval(poll);
      clearTimeout(anew);
      clearTimeout(waiting);
      poll = anew = waiting = null;
    };

    // Somebody writes or chooses something here that is not sent yet: it must not be taken from under their hands.
    const in_use = () =>
      [...part.querySelectorAll("input:not([type=hidden]), select, textarea")].some((field) =>
        field.matches("select")
          ? document.activeElement === field
          : field.matches("[type=checkbox], [type=radio]")
            ? field.checked !== field.defaultChecked
            : field.value !== field.defaultValue
      );

    const swap = (text) => {
      const held = part.contains(document.activeElement) ? document.activeElement : null;
      const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
      part.innerHTML = text;
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      window.htmx?.process(part);
      if (held) {
        // whoever reads by keyboard stays where they were
        const again = held.id ? document.getElementById(held.id) : part.querySelector(`a[href="${CSS.escape(held.getAttribute("href") ?? "")}"]`);
        again?.focus({ preventScroll: true });
      }
      const now = part.firstElementChild?.dataset.say ?? part.dataset.moved;
      if (said && now && (now !== spoken || part.dataset.moved)) said.textContent = now;
      if (part.dataset.stale) document.getElementById(part.dataset.stale)?.replaceChildren();
      spoken = now;
    };

    // The part as it is now; null where it can't be had at the moment.
    const ask = async () => {
      try {
        const headers = { "HX-Request": "true" };
        const answer = await fetch(part.dataset.fragment, { headers, cache: "no-store", signal: AbortSignal.timeout(LONGEST) });
        if (answer.redirected || [401, 403, 404].includes(answer.status)) stop(); // signed out, or gone
        else if (answer.ok) return await answer.text();
      } catch {
        // tried again below
      }
      return null;
    };

    const fetchPart = async () => {
      waiting = null;
      if (asking) {
        again = true; // one after the other, so that no older answer comes last
        return;
      }
      put_off = under_way > 0 || in_use();
      if (put_off) return;
      last = Date.now();
      asking = true;
      again = false;
      const text = await ask();
      asking = false;
      if (text === null) return tryAgain();
      put_off = under_way > 0 || in_use();
      if (put_off) return;
      if (plain(text) !== plain(part.innerHTML)) swap(text);
      if (settled()) stop();
      else if (again) changed();
    };

    // No other event may come: what is shown would stay old.
    const tryAgain = () => {
      if (waiting === null && (source || poll !== null)) waiting = setTimeout(fetchPart, Math.max(every, pause));
    };

    // Several events in a row make one fetch, and none is lost.
    const changed = () => {
      if (waiting === null) waiting = setTimeout(fetchPart, Math.max(0, last + pause - Date.now()));
    };

    const pollInstead = () => {
      if (poll === null && !settled()) poll = setInterval(changed, every);
      if (source?.readyState === EventSource.CLOSED && anew === null) {
        anew = setTimeout(() => {
          anew = null;
          stop();
          start();
        }, ANEW);
      }
    };

    const start = () => {
      if (source || settled() || document.hidden) return;
      source = new EventSource(part.dataset.live);
      source.addEventListener("changed", () => {
        clearInterval(poll);
        poll = null;
        changed();
      });
      source.addEventListener("error", pollInstead);
    };

    const now_free = () => {
      if (put_off) changed();
    };
    part.addEventListener("focusout", () => setTimeout(now_free));
    ended.push(now_free);
    document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
    window.addEventListener("pagehide", stop);
    window.addEventListener("pageshow", start);
    start();
  };

  const begin = () => {
    document.body.addEventListener("htmx:beforeRequest", () => (under_way += 1));
    document.body.addEventListener("htmx:afterRequest", () =>
      setTimeout(() => {
        under_way = Math.max(0, under_way - 1);
        for (const now_free of ended) now_free();
      }, 100) // what it brought has settled then
    );
    for (const part of document.querySelectorAll("[data-live]")) follow(part);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
