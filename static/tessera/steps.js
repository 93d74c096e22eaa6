/* The editor of a playbook's steps: cards over the JSON in a text area, which stays the truth and works without this. */
(() => {
  "use strict";
  const DAYS = { mon: "Mon", tue: "Tue", wed: "Wed", thu: "Thu", fri: "Fri", sat: "Sat", sun: "Sun" };
  const KINDS = { message: "Message", wait: "Wait", branch: "Branch", exit: "Exit when" };
  const RULE = { orders: { at_least: 1 } };

  function make(tag, given, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(given || {})) {
      if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  class Editor {
    constructor(root) {
      this.root = root;
      this.text = root.querySelector("textarea");
      this.board = root.querySelector("[data-board]");
      this.said = root.querySelector("[data-said]");
      this.templates = JSON.parse(root.querySelector("script[data-templates]").textContent);
      this.problems = [];
      this.serial = 0;
      this.read();
      this.text.addEventListener("change", () => { this.read(); this.tell(); });
      document.body.addEventListener("htmx:afterSwap", (event) => {
        if (root.contains(event.target)) this.problemsTake();
      });
      this.problemsTake();
    }

    read() {
      try {
        const steps = JSON.parse(this.text.value.trim() || "[]") ?? [];  // a new playbook's is null
        this.steps = Array.isArray(steps) ? steps : null;
      } catch { this.steps = null; }
      this.draw();
    }

    tell() { this.text.dispatchEvent(new Event("input", { bubbles: true })); }

    write() {
      this.text.value = JSON.stringify(this.steps, null, 2);
      this.tell();
    }

    say(words) { this.said.textContent = words; }

    draw(focus) {
      this.board.replaceChildren();
      if (this.steps === null) {
        this.board.append(make("p", { class: "t-steps-fault" }, "The JSON below can't be read yet: mend it there."));
        return;
      }
      this.board.append(this.list(this.steps, "steps"));
      this.problemsShow();
      if (focus) this.board.querySelector(`[data-place="${focus}"] [data-first]`)?.focus();
    }

    list(steps, place) {
      const cards = steps.map((step, index) => this.card(step, index, steps, place));
      const add = make("div", { class: "t-steps-add", role: "group", "aria-label": "Add a step" }, make("span", { class: "t-soft" }, "Add:"));
      for (const [kind, words] of Object.entries(KINDS)) {
        if (kind === "branch" && place.split(".").length > 3) continue;
        add.append(make("button", { type: "button", on: { click: () => {
          steps.push(this.fresh(kind));
          this.write();
          this.draw(`${place}[${steps.length - 1}]`);
          this.say(`${words} added`);
        } } }, words));
      }
      return make("div", {}, make("ol", { class: "t-steps-list" }, ...cards), add);
    }

    fresh(kind) {
      if (kind === "message") {
        const template = this.templates[0];
        return { kind, name: "", template: template ? template.code : "", slots: template ? structuredClone(template.slots) : {} };
      }
      if (kind === "wait") return { kind, for: { days: 3 } };
      if (kind === "branch") return { kind, name: "", when: structuredClone(RULE), then: [], else: [] };
      return { kind, name: "", event: "Order Completed" };
    }

    card(step, index, steps, place) {
      const here = `${place}[${index}]`;
      const words = KINDS[step.kind] || "Step";
      const title = `${words} ${index + 1}`;
      const move = (by) => {
        const [one] = steps.splice(index, 1);
        steps.splice(index + by, 0, one);
        this.write();
        this.draw(`${place}[${index + by}]`);
        this.say(`${words} is now number ${index + by + 1} of ${steps.length}`);
      };
      const head = make("div", { class: "t-steps-head" },
        make("h4", {}, `${index + 1}. ${words}`),
        make("button", { type: "button", "data-first": true, "aria-label": `Move ${title} up`, disabled: index === 0, on: { click: () => move(-1) } }, "↑"),
        make("button", { type: "button", "aria-label": `Move ${title} down`, disabled: index === steps.length - 1, on: { click: () => move(1) } }, "↓"),
        make("button", { type: "button", "aria-label": `Remove ${title}`, on: { click: () => {
          steps.splice(index, 1);
          this.write();
          this.draw(steps.length ? `${place}[${Math.max(index - 1, 0)}]` : undefined);
          this.say(`${words} removed`);
        } } }, "Remove"));
      const first = index === 0 ? head.querySelector("[aria-label$='down']") : null;
      if (first && !first.disabled) { head.querySelector("[data-first]").removeAttribute("data-first"); first.setAttribute("data-first", ""); }
      else if (first) { head.querySelector("[data-first]").removeAttribute("data-first"); head.lastChild.setAttribute("data-first", ""); }
      const fields = make("div", { class: "t-steps-fields" });
      const draw = { message: "message", wait: "wait", branch: "branch", exit: "exit" }[step.kind];
      if (draw) this[draw](step, fields, here);
      return make("li", { class: "t-steps-card", "data-place": here }, head, fields, make("div", { "data-faults": true }));
    }

    labelled(words, field, wide) {
      this.serial += 1;
      field.id = `step-field-${this.serial}`;
      return make("label", { for: field.id, class: wide ? "t-steps-wide" : null }, words, field);
    }

    input(step, key, words, given) {
      const field = make("input", { type: "text", value: step[key] || "", ...given, on: { input: () => { step[key] = field.value; this.write(); } } });
      return this.labelled(words, field, true);
    }

    select(value, choices, act, words) {
      const field = make("select", { on: { change: () => act(field.value) } },
        ...choices.map(([code, name]) => make("option", { value: code, selected: code === value }, name)));
      return this.labelled(words, field);
    }

    json(step, key, words, rows) {
      const shown = typeof step[key] === "string" ? step[key] : JSON.stringify(step[key] ?? {}, null, 2);
      const field = make("textarea", { rows, spellcheck: "false", on: { input: () => {
        try { step[key] = JSON.parse(field.value); } catch { step[key] = field.value; }
        this.write();
      } } }, shown);
      return this.labelled(words, field, true);
    }

    message(step, fields, here) {
      fields.append(
        this.input(step, "name", "Name", { maxlength: 80, placeholder: "such as Welcome" }),
        this.select(step.template, this.templates.map((one) => [one.code, one.name]), (code) => {
          step.template = code;
          const known = this.templates.find((one) => one.code === code);
          if (known) step.slots = { ...structuredClone(known.slots), ...Object.fromEntries(Object.entries(step.slots || {}).filter(([slot]) => slot in known.slots)) };
          this.write();
          this.draw(here);
        }, "Template"),
        this.json(step, "slots", "Slots and their tiers, as JSON: a tier names a block; the last is static", 10));
    }

    wait(step, fields, here) {
      fields.append(this.select(step.until ? "until" : "for", [["for", "for some time"], ["until", "until a time of day"]], (way) => {
        if (way === "for") { delete step.until; step.for = { days: 3 }; }
        else { delete step.for; step.until = { time: "09:00", days: [], zone: "person" }; }
        this.write();
        this.draw(here);
      }, "Wait"));
      if (step.until) {
        const until = step.until;
        const clock = make("input", { type: "time", value: until.time, on: { input: () => { until.time = clock.value; this.write(); } } });
        const days = make("div", { class: "t-steps-row", role: "group", "aria-label": "Only on these weekdays; none means any" });
        for (const [day, words] of Object.entries(DAYS)) {
          const box = make("input", { type: "checkbox", checked: (until.days || []).includes(day), on: { change: () => {
            until.days = Object.keys(DAYS).filter((one) => (one === day ? box.checked : (until.days || []).includes(one)));
            this.write();
          } } });
          const label = this.labelled("", box);
          label.className = "t-steps-day";
          label.append(words);
          days.append(label);
        }
        fields.append(make("div", { class: "t-steps-row" }, this.labelled("Time", clock),
          this.select(until.zone || "person", [["person", "the person's, if it is known"], ["playbook", "the playbook's"]], (zone) => { until.zone = zone; this.write(); }, "Time zone")), days);
        return;
      }
      const [unit, number] = Object.entries(step.for || { days: 3 })[0];
      const count = make("input", { type: "number", min: 1, value: number, on: { input: () => { step.for = { [Object.keys(step.for)[0]]: count.valueAsNumber || 0 }; this.write(); } } });
      fields.append(make("div", { class: "t-steps-row" }, this.labelled("How many", count),
        this.select(unit, [["minutes", "minutes"], ["hours", "hours"], ["days", "days"]], (to) => { step.for = { [to]: count.valueAsNumber || 0 }; this.write(); }, "Of what")));
    }

    branch(step, fields, here) {
      step.then ||= [];
      step.else ||= [];
      fields.append(this.input(step, "name", "Name", { maxlength: 80, placeholder: "such as Bought since?" }), this.json(step, "when", "Rule, as in audiences", 4),
        make("div", { class: "t-steps-ways" },
          make("fieldset", { class: "t-steps-way" }, make("legend", {}, "If so"), this.list(step.then, `${here}.then`)),
          make("fieldset", { class: "t-steps-way" }, make("legend", {}, "If not"), this.list(step.else, `${here}.else`))));
    }

    exit(step, fields, here) {
      fields.append(this.input(step, "name", "Name", { maxlength: 80, placeholder: "such as Bought" }),
        this.select("event" in step ? "event" : "when", [["event", "when something happened since it began"], ["when", "when a rule holds"]], (way) => {
          if (way === "event") { delete step.when; step.event = "Order Completed"; }
          else { delete step.event; step.when = structuredClone(RULE); }
          this.write();
          this.draw(here);
        }, "People leave"));
      fields.append("event" in step ? this.input(step, "event", "Event", { maxlength: 120 }) : this.json(step, "when", "Rule, as in audiences", 4));
    }

    problemsTake() {
      const given = this.root.querySelector("[data-problems]");
      this.problems = given ? JSON.parse(given.textContent) : [];
      this.problemsShow();
    }

    problemsShow() {
      const cards = [...this.board.querySelectorAll("[data-place]")];
      for (const card of cards) { card.removeAttribute("data-bad"); card.querySelector(":scope > [data-faults]").replaceChildren(); }
      for (const { place, problem } of this.problems) {
        const card = cards.filter((one) => place === one.dataset.place || place.startsWith(`${one.dataset.place}.`)).sort((a, b) => b.dataset.place.length - a.dataset.place.length)[0];
        if (!card) continue;
        const rest = place.slice(card.dataset.place.length + 1);
        card.setAttribute("data-bad", "");
        card.querySelector(":scope > [data-faults]").append(make("p", { class: "t-steps-fault" }, rest ? `${rest}: ${problem}` : problem));
      }
    }
  }

  function begin() {
    document.querySelectorAll("[data-steps]").forEach((root) => { if (!root.dataset.begun) { root.dataset.begun = "yes"; new Editor(root); } });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
