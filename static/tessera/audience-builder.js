// The rule as rows to choose from, beside its text: each writes the other. The text is what is sent and checked.
(() => {
  const OP_WORDS = { is: "is", is_not: "is not", in: "is one of", contains: "contains", gte: "is at least", lte: "is at most", known: "is known" };
  const KINDS = [
    ["attribute", "What is known of them"],
    ["feature", "Computed of them"],
    ["event", "What they did"],
    ["orders", "What they bought"],
    ["audience", "In another audience"],
    ["consent", "What they agreed to"],
    ["interest", "What interests them"],
    ["asked_again", "To be asked again"],
  ];
  const CHANNELS = [["email", "by e-mail"], ["sms", "by SMS"], ["push", "by push"], ["web", "on the web"]];
  const COUNTS = [["at_least", "at least"], ["at_most", "at most"], ["exactly", "exactly"]];

  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const select = (label, choices, chosen, changed) => {
    const node = make("select", { className: "t-build-input" });
    node.setAttribute("aria-label", label);
    const known = choices.some(([value]) => value === chosen);
    for (const [value, words] of known || chosen === undefined ? choices : [[chosen, chosen], ...choices]) {
      node.append(make("option", { value, textContent: words, selected: value === chosen }));
    }
    node.addEventListener("change", () => changed(node.value));
    return node;
  };
  const input = (label, type, value, changed, more = {}) => {
    const node = make("input", { className: "t-build-input", type, value, ...more });
    node.setAttribute("aria-label", label);
    if (more.options) node.setAttribute("list", more.options);
    node.addEventListener("input", () => changed(node.value));
    return node;
  };
  // Text that would be taken for something else stands in quotation marks.
  const scalarText = (value) => (typeof value !== "string" ? String(value) : /^(-?\d+(\.\d+)?|true|false|".*"|.*,.*)$/.test(value) ? JSON.stringify(value) : value);
  const scalarRead = (text) => {
    const trimmed = text.trim();
    if (/^(-?\d+(\.\d+)?|true|false|".*")$/.test(trimmed)) {
      try { return JSON.parse(trimmed); } catch { /* a text with quotation marks of its own */ }
    }
    return trimmed;
  };
  const listRead = (text) => (text.match(/"(?:[^"\\]|\\.)*"|[^,]+/g) || []).map(scalarRead).filter((value) => value !== "");

  class Builder {
    constructor(root) {
      this.textarea = root.querySelector("textarea");
      this.place = root.querySelector(".t-build");
      this.know = JSON.parse(document.getElementById("rule-catalog").textContent);
      this.textarea.addEventListener("input", (event) => { if (!event.detail?.built) this.show(); });
      this.show();
    }

    show() {
      let rule;
      try { rule = JSON.parse(this.textarea.value); } catch { rule = undefined; }
      this.blank = this.textarea.value.trim() === "";
      if (this.blank) rule = { all: [] };
      this.rule = this.opened(rule);
      this.place.replaceChildren();
      if (this.rule) this.place.append(this.group(this.rule, null));
      else this.place.append(make("p", { className: "t-soft", textContent: "This rule can only be shown as text as it stands." }));
    }

    // {not: …} around a rule becomes a mark on it; null for what has no row.
    opened(rule) {
      const inner = this.inner(rule, false);
      return inner && (inner.rules ? inner : { kind: "all", negated: false, rules: [inner] });
    }
    inner(rule, negated) {
      if (!rule || typeof rule !== "object" || Array.isArray(rule)) return null;
      if ("not" in rule) return negated ? null : this.inner(rule.not, true);
      for (const kind of ["all", "any"]) {
        if (!(kind in rule)) continue;
        if (!Array.isArray(rule[kind])) return null;
        const rules = rule[kind].map((one) => this.inner(one, false));
        return rules.includes(null) ? null : { kind, negated, rules };
      }
      const kind = KINDS.find(([name]) => name in rule)?.[0];
      return kind ? { kind, negated, leaf: { ...rule } } : null;
    }
    closed(node) {
      const rule = node.rules ? { [node.kind]: node.rules.map((one) => this.closed(one)) } : node.leaf;
      return node.negated ? { not: rule } : rule;
    }

    write() {
      this.blank = false;
      this.textarea.value = JSON.stringify(this.closed(this.rule), null, 2);
      this.textarea.dispatchEvent(new CustomEvent("input", { bubbles: true, detail: { built: true } }));
    }
    redraw(focus) {
      this.write();
      this.place.replaceChildren(this.group(this.rule, null));
      this.place.querySelector(focus || "none")?.focus();
    }

    group(node, parent) {
      const box = make("fieldset", { className: "t-build-group" });
      const head = make("div", { className: "t-build-row" });
      head.append(
        make("span", { textContent: parent ? "People for whom" : "Everybody for whom" }),
        select("How the conditions belong together", [["all", "all of these hold"], ["any", "any of these holds"]], node.kind, (kind) => { node.kind = kind; this.write(); }),
      );
      if (parent || node.negated) head.append(this.negation(node));
      if (parent) head.append(this.removal(node, parent, "this group"));
      box.append(make("legend", { className: "t-unseen", textContent: parent ? "Group of conditions" : "Conditions" }), head);
      const list = make("ul", { className: "t-build-list" });
      for (const one of node.rules) list.append(make("li", {}, one.rules ? this.group(one, node) : this.row(one, node)));
      if (!node.rules.length) {
        const everybody = this.blank ? "Take one of the examples above, or add a condition." : "No condition: everybody.";
        list.append(make("li", { className: "t-soft", textContent: node.kind === "all" ? everybody : "Add a condition: none can't hold." }));
      }
      const add = (words, made) => {
        const button = make("button", { type: "button", className: "t-build-button t-build-add", textContent: words });
        button.addEventListener("click", () => { const one = made(); one.fresh = true; node.rules.push(one); this.redraw("[data-fresh]"); });
        return button;
      };
      box.append(list, make("div", { className: "t-build-row" },
        add("Add a condition", () => ({ kind: "attribute", negated: false, leaf: this.leaf("attribute") })),
        add("Add a group", () => ({ kind: "any", negated: false, rules: [{ kind: "attribute", negated: false, leaf: this.leaf("attribute") }] }))));
      return box;
    }
    negation(node) {
      const tick = make("input", { type: "checkbox", checked: node.negated });
      tick.addEventListener("change", () => { node.negated = tick.checked; this.write(); });
      return make("label", { className: "t-build-not" }, tick, " not");
    }
    removal(node, parent, what) {
      const button = make("button", { type: "button", className: "t-build-button", textContent: "Remove" });
      button.setAttribute("aria-label", `Remove ${what}`);
      button.addEventListener("click", () => { parent.rules.splice(parent.rules.indexOf(node), 1); this.redraw(".t-build-add"); });
      return button;
    }

    leaf(kind) {
      const first = (list) => (list[0] ? list[0][0] : "");
      return {
        attribute: { attribute: "country", is: "DE" },
        feature: { feature: "orders_count", gte: 1 },
        event: { event: this.know.events[0] || "Product Viewed", at_least: 1 },
        orders: { orders: { at_least: 1 } },
        audience: { audience: first(this.know.audiences), is: true },
        consent: { consent: first(this.know.purposes), channel: "email", is: true },
        asked_again: { asked_again: first(this.know.purposes), channel: "email", is: true },
        interest: { interest: first(this.know.interests), is: true },
      }[kind];
    }

    row(node, parent) {
      const kind = select("What is asked", KINDS, node.kind, (chosen) => { node.kind = chosen; node.leaf = this.leaf(chosen); node.fresh = true; this.redraw("[data-fresh]"); });
      if (node.fresh) { kind.dataset.fresh = ""; delete node.fresh; }
      const row = make("div", { className: "t-build-row" }, kind, ...this.asked(node));
      row.append(this.negation(node), this.removal(node, parent, "this condition"));
      return row;
    }
    asked(node) {
      const leaf = node.leaf;
      const set = (name) => (value) => { leaf[name] = value; this.write(); };
      const truth = (yes, no) => select("Whether", [["true", yes], ["false", no]], String(leaf.is !== false), (value) => { leaf.is = value === "true"; this.write(); });
      switch (node.kind) {
        case "attribute":
          return [input("Attribute", "text", leaf.attribute, set("attribute"), { options: "rule-attributes" }), ...this.compared(leaf, "attribute", ["is", "is_not", "in", "contains", "gte", "lte", "known"], "text")];
        case "feature": {
          const features = this.know.features;
          const chosen = select("Feature", features.map(([name]) => [name, name.replaceAll("_", " ")]), leaf.feature, (name) => {
            const [, , ops, kind] = features.find(([one]) => one === name);
            node.leaf = { feature: name, [ops[0]]: ops[0] === "known" ? true : { flag: true, number: 1, amount: 1, items: 1, moment: new Date().toISOString().slice(0, 10), text: "" }[kind] };
            this.redraw();
          });
          const known = features.find(([name]) => name === leaf.feature);
          if (known) chosen.title = known[1];
          return [chosen, ...(known ? this.compared(leaf, "feature", known[2], known[3]) : [])];
        }
        case "event":
          return [input("Event", "text", leaf.event, set("event"), { options: "rule-events" }), ...this.counted(leaf)];
        case "orders":
          return [...this.counted(leaf.orders), input("Category", "text", leaf.orders.category || "", (value) => { if (value) leaf.orders.category = value; else delete leaf.orders.category; this.write(); }, { placeholder: "of any category" })];
        case "audience":
          return [select("Audience", this.know.audiences, leaf.audience, set("audience")), truth("is in it", "is not in it")];
        case "interest":
          return [select("Interest", this.know.interests, leaf.interest, set("interest")), truth("is chosen", "is not chosen")];
        default:
          return [select("Purpose", this.know.purposes, leaf[node.kind], set(node.kind)), select("Channel", CHANNELS, leaf.channel, set("channel")), node.kind === "consent" ? truth("agreed", "did not agree") : truth("must be asked", "need not be asked")];
      }
    }
    compared(leaf, subject, ops, kind) {
      const op = ops.find((one) => one in leaf) || ops[0];
      const chooseOp = select("Comparison", ops.map((one) => [one, OP_WORDS[one]]), op, (chosen) => {
        const old = leaf[op];
        delete leaf[op];
        const single = Array.isArray(old) ? old[0] : old;
        leaf[chosen] = chosen === "known" ? true : chosen === "in" ? [op === "known" ? "" : single] : op === "known" ? (kind === "text" ? "" : 1) : single;
        this.redraw();
      });
      const value = leaf[op];
      if (op === "known" || kind === "flag") {
        return [chooseOp, select("Whether", [["true", "yes"], ["false", "no"]], String(value), (chosen) => { leaf[op] = chosen === "true"; this.write(); })];
      }
      if (op === "in") return [chooseOp, input("Values, with commas between", "text", value.map(scalarText).join(", "), (text) => { leaf[op] = listRead(text); this.write(); })];
      if (kind === "moment") return [chooseOp, input("Day", "date", String(value).slice(0, 10), (text) => { leaf[op] = text; this.write(); })];
      if (["number", "amount", "items"].includes(kind)) return [chooseOp, input("Number", "number", value, (text) => { leaf[op] = text === "" ? 0 : Number(text); this.write(); }, { step: "any" })];
      return [chooseOp, input("Value", "text", subject === "attribute" ? scalarText(value) : value, (text) => { leaf[op] = subject === "attribute" ? scalarRead(text) : text; this.write(); })];
    }
    counted(leaf) {
      const bound = COUNTS.find(([name]) => name in leaf)?.[0] || "at_least";
      const several = "at_least" in leaf && "at_most" in leaf;
      const parts = [
        select("How many", COUNTS, bound, (chosen) => { const number = leaf[bound] ?? 1; for (const [name] of COUNTS) delete leaf[name]; leaf[chosen] = number; this.redraw(); }),
        input("Number of times", "number", leaf[bound] ?? 1, (text) => { leaf[bound] = Number(text); this.write(); }, { min: 0 }),
        make("span", { textContent: "times in the last" }),
        input("Days, empty for ever", "number", leaf.within_days ?? "", (text) => { if (text === "") delete leaf.within_days; else leaf.within_days = Number(text); this.write(); }, { min: 1, placeholder: "any" }),
        make("span", { textContent: "days" }),
      ];
      const more = [several && `at most ${leaf.at_most}`, leaf.since && `since ${leaf.since}`, leaf.before && `before ${leaf.before}`].filter(Boolean);
      if (more.length) parts.push(make("span", { className: "t-soft", textContent: `(${more.join(", ")})` }));
      return parts;
    }
  }

  const begin = () => { for (const root of document.querySelectorAll(".t-rule")) if (root.querySelector(".t-build")) new Builder(root); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
