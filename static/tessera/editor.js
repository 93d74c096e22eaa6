// The editor with its live preview: languages as tabs, and after each change the form goes to the server, which says
// what is wrong at which field and how it looks. The latest answer wins; without one, what was typed stays.
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const start = () => {
    const look = $("[data-look]");
    const form = look && document.getElementById(look.dataset.form);
    if (!form) return;
    const WAIT = 300;
    const state = $("[data-state]", look);
    const stage = $("[data-stage]", look);
    const language = $("[data-name=language]", look);
    const touched = new Set();
    let sent = 0;
    let timer = null;
    let abort = null;
    let failures = 0;
    let last = null;
    let shownFor = "";
    document.body.classList.add("t-editing");

    // --- languages ---
    const list = $("[role=tablist]", form);
    const tabs = () => (list ? $$("[role=tab]", list) : []);
    const choose = (code, focus = false) => {
      for (const tab of tabs()) {
        const on = tab.dataset.language === code;
        tab.setAttribute("aria-selected", String(on));
        tab.tabIndex = on ? 0 : -1;
        document.getElementById(`panel-${tab.dataset.language}`).hidden = !on;
        if (on && focus) tab.focus();
        if (on) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
      }
      if (language.value !== code) language.value = code;
    };
    list?.addEventListener("click", (event) => {
      const tab = event.target.closest("[role=tab]");
      if (tab) { choose(tab.dataset.language); ask(0); }
    });
    list?.addEventListener("keydown", (event) => {
      const all = tabs();
      const at = all.indexOf(event.target.closest("[role=tab]"));
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined || at < 0) return;
      event.preventDefault();
      choose(all[(to + all.length) % all.length].dataset.language, true);
      ask(0);
    });
    const more = document.getElementById("more-languages");
    document.getElementById("add-language")?.addEventListener("click", () => {
      const option = more.selectedOptions[0];
      if (!option) return;
      const code = option.value;
      const title = option.textContent;
      option.remove();
      for (const [id, place] of [["empty-tab", list], ["empty-panel", null]]) {
        const copy = document.getElementById(id).content.cloneNode(true);
        for (const element of $$("*", copy)) {
          for (const { name, value } of [...element.attributes]) {
            if (/\bqq\b|__qq__/.test(value)) element.setAttribute(name, value.replace(/__qq__/g, `__${code}__`).replace(/\bqq\b/g, code));
          }
        }
        const named = $(".t-language-name", copy);
        if (named) { named.textContent = title; $("[role=tab]", copy).dataset.title = title; }
        if (place) place.append(copy);
        else $$("[role=tabpanel]", form).at(-1).after(copy);
      }
      language.append(new Option(title, code));
      choose(code);
      $("input, textarea, select", document.getElementById(`panel-${code}`))?.focus();
      ask(0);
    });

    // --- tags ---
    const tagsLine = $("[name=tags_line]", form);
    const tagsNow = () => tagsLine.value.split(",").map((tag) => tag.trim()).filter(Boolean);
    const tagsMark = () => $$("[data-tag]", form).forEach((button) => button.setAttribute("aria-pressed", String(tagsNow().includes(button.dataset.tag))));
    if (tagsLine) {
      form.addEventListener("click", (event) => {
        const button = event.target.closest("[data-tag]");
        if (!button) return;
        const tags = tagsNow();
        const at = tags.indexOf(button.dataset.tag);
        if (at < 0) tags.push(button.dataset.tag); else tags.splice(at, 1);
        tagsLine.value = tags.join(", ");
        tagsLine.dispatchEvent(new Event("input", { bubbles: true }));
      });
      tagsLine.addEventListener("input", tagsMark);
      tagsMark();
    }

    // --- a picture's size, as the browser finds it ---
    form.addEventListener("change", (event) => {
      const address = event.target.closest("[data-image]");
      if (!address || !/^https:\/\//.test(address.value)) return;
      const picture = new Image();
      picture.referrerPolicy = "no-referrer";
      picture.onload = () => {
        for (const [side, size] of [["width", picture.naturalWidth], ["height", picture.naturalHeight]]) {
          const input = form.elements[`${address.name}__${side}`];
          if (input && size && !input.value) input.value = size;
        }
        ask(0);
      };
      picture.src = address.value;
    });

    // --- asking ---
    const chosen = (name) => $(`[data-name=${name}]`, look);
    const view = () => $("[data-view]:checked", look).value;
    const ask = (wait = WAIT) => {
      clearTimeout(timer);
      timer = setTimeout(send, wait);
    };
    const send = async () => {
      const number = ++sent;
      abort?.abort();
      abort = new AbortController();
      const body = new FormData(form);
      for (const name of ["language", "persona", "brand", "dark", "channel"]) {
        if (chosen(name)) body.set(`preview_${name}`, chosen(name).value);
      }
      body.set("preview_pictures", chosen("pictures").checked ? "off" : "on");
      look.dataset.busy = "yes";
      try {
        const answer = await fetch(look.dataset.url, { method: "POST", body, signal: abort.signal, credentials: "same-origin" });
        if (number !== sent) return;
        if (answer.redirected || answer.status === 403) { say(look.dataset.sayOut, true); return; }
        if (!answer.ok) throw new Error(String(answer.status));
        const data = await answer.json();
        if (number !== sent) return;
        failures = 0;
        show(data);
      } catch (error) {
        if (number !== sent || error.name === "AbortError") return;
        failures += 1;
        say(look.dataset.sayFailed, true);
        ask(Math.min(30000, 2000 * 2 ** failures));
      } finally {
        if (number === sent) delete look.dataset.busy;
      }
    };
    const say = (text, bad = false) => {
      if (state.textContent !== text) state.textContent = text;
      state.classList.toggle("t-look-state-bad", bad);
    };

    // --- showing ---
    const show = (data) => {
      last = data;
      problemsShow(data.problems || []);
      for (const row of data.languages || []) languageShow(row);
      for (const field of $$("[data-field]", form)) fieldShow(field, data);
      lookShow(data);
      sizeShow(data.size);
      clientsShow(data.clients || []);
      const dark = chosen("dark").value;
      const note = $("[data-note]", look);
      const none = dark === "own" && data.html && !data.darkOwn;
      note.hidden = !none && !(failedLook(data) && stage.querySelector("iframe, pre"));
      if (!note.hidden) note.textContent = none ? look.dataset.sayNoDark || "This has no dark styles of its own: such clients show it as in light mode." : look.dataset.sayOld;
      $("[data-dark-said]", look).hidden = !dark;
    };
    const failedLook = (data) => !data.html && !data.text;
    const heldBack = (problem) => problem.missing && problem.field && !touched.has(problem.field) && !form.dataset.submitted;
    const problemsShow = (problems) => {
      const shown = problems.filter((problem) => !heldBack(problem));
      const waiting = problems.length - shown.length;
      const list = $("[data-problems]", look);
      list.replaceChildren(...shown.slice(0, 12).map((problem) => {
        const item = document.createElement("li");
        const field = problem.field ? $(`[data-field="${CSS.escape(problem.field)}"]`, form) : null;
        const label = field ? $("label", field).textContent : problem.where;
        const panel = field?.closest("[role=tabpanel]");
        const place = panel && tabs().length > 1 ? `${label} (${panel.dataset.language})` : label;
        if (field) {
          const link = document.createElement("button");
          link.type = "button";
          link.textContent = place;
          link.addEventListener("click", () => {
            if (panel) choose(panel.dataset.language);
            show1("write");
            $("input, textarea, select", field).focus();
          });
          item.append(link, `: ${problem.text}`);
        } else item.textContent = place ? `${place}: ${problem.text}` : problem.text;
        return item;
      }));
      list.hidden = !shown.length;
      const words = [];
      if (shown.length) words.push(shown.length === 1 ? look.dataset.sayOne : look.dataset.sayMany.replace("%s", shown.length));
      if (waiting) words.push(waiting === 1 ? look.dataset.sayMissingOne : look.dataset.sayMissing.replace("%s", waiting));
      say(words.join(" ") || look.dataset.sayFine, shown.length > 0);
      const count = $("[data-switch-count]");
      if (count) { count.textContent = shown.length; count.hidden = !shown.length; }
      for (const tab of tabs()) {
        const wrong = shown.some((problem) => problem.field.startsWith(`content__${tab.dataset.language}__`));
        tab.toggleAttribute("data-wrong", wrong);
      }
    };
    const languageShow = (row) => {
      const tab = document.getElementById(`tab-${row.code}`);
      if (!tab) return;
      let done = $(".t-done", tab);
      if (!done && row.asked) { done = document.createElement("span"); done.className = "t-done"; tab.append(" ", done); }
      if (done) {
        done.textContent = `${row.done}/${row.asked}`;
        done.classList.toggle("t-done-all", row.done === row.asked);
      }
      const note = $(".t-language-note", document.getElementById(`panel-${row.code}`));
      note.textContent = row.note;
      note.hidden = !row.note;
    };
    const fieldShow = (field, data) => {
      const name = field.dataset.field;
      const own = data.problems.filter((problem) => problem.field === name && !heldBack(problem));
      const told = $(".t-told", field);
      const texts = own.map((problem) => problem.text);
      const before = $$("li", told).map((item) => item.textContent);
      // What the server said of a form that was sent stays until this field is changed.
      if (name.startsWith("content__") || name === "name" || touched.has(name)) {
        if (texts.join("\n") !== before.join("\n")) {
          told.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
        }
        field.classList.toggle("t-field-wrong", texts.length > 0);
        $("input, textarea, select", field)?.setAttribute("aria-invalid", String(texts.length > 0));
      }
      const count = (data.counts || {})[name];
      const place = $(".t-count", field);
      if (place) {
        place.textContent = count ? `${count.used} / ${count.limit}` : "";
        place.classList.toggle("t-count-over", Boolean(count && count.used > count.limit));
      }
      const note = (data.notes || {})[name];
      let said = $(".t-reading", field);
      if (note && !said) { said = document.createElement("p"); said.className = "t-help t-reading"; $(".t-help", field).after(said); }
      if (said) said.textContent = note || "";
    };
    const lookShow = (data) => {
      const empty = $("[data-empty]", stage);
      if (failedLook(data)) {
        const before = stage.querySelector("iframe, pre");
        stage.classList.toggle("t-stage-old", Boolean(before) && data.problems.length > 0);
        if (!before || !data.problems.length) {
          stage.querySelectorAll("iframe, pre").forEach((part) => part.remove());
          empty.textContent = data.problems.length ? look.dataset.sayNone : look.dataset.sayEmpty;
          empty.hidden = false;
        }
        return;
      }
      stage.classList.remove("t-stage-old");
      empty.hidden = true;
      stage.dataset.view = view();
      if (view() === "text" || !data.html) {
        const pre = document.createElement("pre");
        pre.className = "t-source";
        pre.tabIndex = 0;
        pre.setAttribute("aria-label", look.dataset.title);
        pre.textContent = data.text;
        stage.querySelectorAll("iframe, pre").forEach((part) => part.remove());
        stage.append(pre);
        shownFor = "";
        return;
      }
      if (stage.querySelector("pre")) stage.querySelectorAll("pre").forEach((part) => part.remove());
      const key = data.html;
      if (key === shownFor && stage.querySelector("iframe")) { scale(); return; }
      shownFor = key;
      // The new one is loaded behind the old one and takes its place when it is ready: no flicker while typing.
      const frame = document.createElement("iframe");
      frame.setAttribute("sandbox", "");
      frame.referrerPolicy = "no-referrer";
      frame.title = look.dataset.title;
      frame.className = "t-stage-frame t-stage-coming";
      const number = sent;
      frame.addEventListener("load", () => {
        if (number !== sent && frame.nextElementSibling) { frame.remove(); return; }
        $$("iframe", stage).filter((other) => other !== frame && other.compareDocumentPosition(frame) & Node.DOCUMENT_POSITION_FOLLOWING).forEach((other) => other.remove());
        frame.classList.remove("t-stage-coming");
      });
      frame.srcdoc = data.html;
      stage.append(frame);
      scale();
    };
    const scale = () => {
      const wide = stage.dataset.view === "desktop";
      const factor = wide ? Math.min(1, (stage.clientWidth - 2) / 680) : 1;
      for (const frame of $$("iframe", stage)) frame.style.zoom = factor;
    };
    addEventListener("resize", scale);
    const sizeShow = (size) => {
      const part = $("[data-size]", look);
      const beside = $("[data-size-beside]", form);
      if (beside) beside.textContent = size ? size.text : "";
      part.hidden = !size;
      if (!size) return;
      $(".t-progress-fill", part).style.inlineSize = `${size.share}%`;
      part.classList.toggle("t-size-over", size.over);
      $("p", part).textContent = size.text;
    };
    const clientsShow = (clients) => {
      const part = $("[data-clients]", look);
      part.hidden = !clients.length;
      $("summary", part).textContent = clients.length === 1 ? "One thing that some clients don't show" : `${clients.length} things that some clients don't show`;
      $("ul", part).replaceChildren(...clients.map((client) => {
        const item = document.createElement("li");
        const helps = Object.assign(document.createElement("span"), { className: "t-soft", textContent: ` ${client.helps}` });
        item.append(client.text, helps);
        return item;
      }));
    };

    // --- phone: one side at a time ---
    const show1 = (which) => {
      document.body.dataset.side = which;
      $$("[data-show]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.show === which)));
      if (which === "look") scale();
    };
    $$("[data-show]").forEach((button) => button.addEventListener("click", () => { show1(button.dataset.show); scrollTo({ top: 0 }); }));
    show1("write");

    form.addEventListener("input", (event) => { touched.add(event.target.name); ask(); });
    form.addEventListener("change", (event) => { touched.add(event.target.name); ask(50); });
    form.addEventListener("focusout", (event) => {
      if (event.target.name?.startsWith("content__") && !touched.has(event.target.name)) {
        touched.add(event.target.name);
        if (last) { problemsShow(last.problems); $$("[data-field]", form).forEach((field) => fieldShow(field, last)); }
      }
    });
    look.addEventListener("change", (event) => {
      if (event.target === language) choose(language.value);
      if (event.target.matches("[data-view]")) { stage.dataset.view = view(); shownFor = ""; if (last) lookShow(last); scale(); return; }
      ask(0);
    });
    if ($(".t-field-wrong", form)) form.dataset.submitted = "yes";
    const first = tabs().find((tab) => tab.hasAttribute("data-wrong")) || tabs().find((tab) => tab.getAttribute("aria-selected") === "true") || tabs()[0];
    if (first) choose(first.dataset.language);
    stage.dataset.view = view();
    ask(0);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
