// The fields of a block type as rows. The JSON below them is what is saved: each change of a row writes it anew, and
// each change of the JSON makes the rows anew, so experts and everybody else edit the same thing.
(() => {
  const start = () => {
    const root = document.querySelector("[data-fields-builder]");
    if (!root) return;
    const source = root.querySelector("textarea");
    const rows = root.querySelector(".t-builder-rows");
    const bar = root.querySelector(".t-builder-bar");
    const said = root.querySelector("[data-said]");
    const box = root.querySelector(".t-builder-source");
    const known = JSON.parse(document.getElementById("fields-known").textContent);
    const WORDS = {
      text: "Text, one line", rich_text: "Text with paragraphs and links", image: "Image", link: "Link", colour: "Colour",
      choice: "Choice", number: "Number", products: "Products, chosen for each person",
    };
    const LIMITS = {
      max_length: ["At most so many characters", "number"], reading_ease: ["Reading ease at least (0 hard, 100 easy)", "number"],
      hosts: ["Links only to these hosts", "list", "shop.example, blog.example"], choices: ["Allowed values", "list", "one, two"],
      alt_required: ["Alternative text is needed", "yes"], min_width: ["Narrowest, in pixels", "number"], max_width: ["Widest, in pixels", "number"],
      min_height: ["Lowest, in pixels", "number"], max_height: ["Highest, in pixels", "number"], minimum: ["Least", "number"], maximum: ["Most", "number"], step: ["In steps of", "number"],
    };
    let fields = [];
    let next = 0;

    const make = (tag, properties = {}, ...children) => {
      const element = Object.assign(document.createElement(tag), properties);
      element.append(...children);
      return element;
    };
    const write = () => {
      source.value = fields.length ? `[\n${fields.map((field) => `  ${JSON.stringify(field)}`).join(",\n")}\n]` : "[]";
      source.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const set = (object, key, value) => {
      if (value === "" || value === undefined || value === null || (Array.isArray(value) && !value.length)) delete object[key];
      else object[key] = value;
      write();
    };
    const labelled = (words, input, help = "") => {
      input.id ||= `builder-${next++}`;
      const label = make("label", { htmlFor: input.id, textContent: words });
      const part = make("div", { className: "t-builder-part" }, label, input);
      if (help) {
        const hint = make("p", { className: "t-help", id: `${input.id}-help`, textContent: help });
        input.setAttribute("aria-describedby", hint.id);
        part.append(hint);
      }
      return part;
    };
    const text = (value, change, placeholder = "") => {
      const input = make("input", { type: "text", value: value ?? "", placeholder, className: "t-input" });
      input.addEventListener("input", () => change(input.value));
      return input;
    };
    const tick = (words, value, change) => {
      const input = make("input", { type: "checkbox", checked: value, id: `builder-${next++}` });
      input.addEventListener("change", () => change(input.checked));
      return make("span", { className: "t-builder-tick" }, input, make("label", { htmlFor: input.id, textContent: words }));
    };
    const limit = (key, object) => {
      const [words, type, example] = LIMITS[key];
      if (type === "yes") return tick(words, object[key] === true, (on) => set(object, key, on || undefined));
      if (type === "list") {
        return labelled(words, text((object[key] || []).join(", "), (value) => set(object, key, value.split(",").map((part) => part.trim()).filter(Boolean)), example), "With commas between.");
      }
      const input = text(object[key], (value) => set(object, key, value.trim() === "" || Number.isNaN(Number(value)) ? value.trim() : Number(value)));
      input.inputMode = "decimal";
      return labelled(words, input);
    };
    const valueInput = (field) => {
      const several = field.value && typeof field.value === "object" && !("url" in field.value);
      if (several || (field.kind === "image" && field.value && typeof field.value === "object")) {
        const area = make("textarea", { className: "t-input t-code", rows: 4, value: JSON.stringify(field.value, null, 1) });
        area.addEventListener("input", () => {
          try { set(field, "value", JSON.parse(area.value)); area.removeAttribute("aria-invalid"); } catch { area.setAttribute("aria-invalid", "true"); }
        });
        return labelled("Its value, by language", area, "As JSON: language and value.");
      }
      return labelled("Its value", text(field.value, (value) => set(field, "value", value)), "The same in every block. For one value a language, use JSON.");
    };
    const languagePart = (field) => {
      const part = make("details", { className: "t-builder-languages", open: Boolean(field.by_language) }, make("summary", { textContent: "Other limits in some languages" }));
      const list = make("div", { className: "t-builder-language-list" });
      const keys = known.limits[field.kind];
      const row = (language) => {
        const limits = field.by_language[language];
        const remove = make("button", { type: "button", className: "t-builder-small", textContent: `Remove ${language}` });
        remove.addEventListener("click", () => {
          delete field.by_language[language];
          if (!Object.keys(field.by_language).length) delete field.by_language;
          write();
          draw(fields.indexOf(field), ".t-builder-languages summary");
        });
        list.append(make("fieldset", { className: "t-builder-language" }, make("legend", { textContent: language }), ...keys.map((key) => limit(key, limits)), remove));
      };
      Object.keys(field.by_language || {}).forEach(row);
      const code = text("", () => {}, "de");
      const add = make("button", { type: "button", className: "t-builder-small", textContent: "Add this language" });
      add.addEventListener("click", () => {
        const language = code.value.trim();
        if (!/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/.test(language)) { code.setAttribute("aria-invalid", "true"); code.focus(); return; }
        field.by_language = { ...(field.by_language || {}), [language]: (field.by_language || {})[language] || {} };
        draw(fields.indexOf(field), ".t-builder-language:last-of-type input");
      });
      part.append(list, make("div", { className: "t-builder-add-language" }, labelled("Language, such as de or de-AT", code), add));
      return part;
    };
    const faults = () => {
      const found = new Map();
      for (const item of document.querySelectorAll(".field-fields li, .field-fields .errorlist li")) {
        const match = /^field (\d+)(?:, [\w]+)?(?:, [^:]*)?: (.*)/s.exec(item.textContent.trim());
        if (match) found.set(Number(match[1]) - 1, [...(found.get(Number(match[1]) - 1) || []), match[2]]);
      }
      return found;
    };
    const told = faults();

    const card = (field, at) => {
      const name = field.label || field.name || `Field ${at + 1}`;
      const title = make("legend", { textContent: `${at + 1}. ${name}` });
      const move = (words, icon, to) => {
        const button = make("button", { type: "button", className: "t-icon-button", disabled: to < 0 || to >= fields.length }, make("span", { className: "material-symbols-outlined", textContent: icon, ariaHidden: "true" }));
        button.setAttribute("aria-label", `${words}: ${name}`);
        button.dataset.act = icon;
        button.addEventListener("click", () => {
          fields.splice(to, 0, fields.splice(at, 1)[0]);
          write();
          draw(to, `[data-act=${icon}]:not(:disabled), [data-act]:not(:disabled)`);
          said.textContent = `${name} is now field ${to + 1} of ${fields.length}`;
        });
        return button;
      };
      const remove = make("button", { type: "button", className: "t-icon-button" }, make("span", { className: "material-symbols-outlined", textContent: "delete", ariaHidden: "true" }));
      remove.setAttribute("aria-label", `Remove: ${name}`);
      remove.dataset.act = "delete";
      remove.addEventListener("click", () => {
        fields.splice(at, 1);
        write();
        draw(Math.min(at, fields.length - 1), "input");
        said.textContent = `${name} is removed`;
        if (!fields.length) bar.querySelector("[data-add]").focus();
      });
      const kind = make("select", { className: "t-input" }, ...known.kinds.map((one) => new Option(WORDS[one] || one, one)));
      kind.value = field.kind;
      kind.addEventListener("change", () => {
        for (const key of Object.keys(LIMITS)) if (!known.limits[kind.value].includes(key)) delete field[key];
        delete field.by_language;
        field.kind = kind.value;
        if (["link", "image", "colour", "choice"].includes(field.kind)) delete field.required;
        if (field.kind === "products") { delete field.fixed; delete field.value; }
        if (field.kind === "image" && !field.fixed) field.alt_required = true;
        write();
        draw(at, "select");
      });
      const label = text(field.label, (value) => { set(field, "label", value); title.textContent = `${at + 1}. ${value || field.name}`; });
      const identifier = text(field.name, (value) => set(field, "name", value), "headline");
      identifier.spellcheck = false;
      label.addEventListener("change", () => {
        if (!field.name) {
          identifier.value = label.value.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "_").replace(/^[_\d]+|_+$/g, "").slice(0, 40);
          set(field, "name", identifier.value);
        }
      });
      const ticks = make("div", { className: "t-builder-ticks" });
      if (["text", "rich_text", "number"].includes(field.kind)) ticks.append(tick("Must be filled in", field.required !== false, (on) => set(field, "required", on ? undefined : false)));
      if (field.kind !== "products") {
        ticks.append(tick("Fixed: set here, locked in blocks", field.fixed === true, (on) => {
          if (on) field.fixed = true; else { delete field.fixed; delete field.value; }
          write();
          draw(at, ".t-builder-ticks input:last-of-type");
        }));
      }
      const limits = make("div", { className: "t-builder-limits" });
      if (field.fixed) {
        if (known.limits[field.kind].includes("choices")) limits.append(limit("choices", field));
        limits.append(valueInput(field));
      } else limits.append(...known.limits[field.kind].map((key) => limit(key, field)));
      const problems = make("ul", { className: "t-told" }, ...(told.get(at) || []).map((words) => make("li", { textContent: words })));
      const part = make("fieldset", { className: `t-builder-row${told.has(at) ? " t-field-wrong" : ""}` }, title,
        make("div", { className: "t-builder-moves" }, move("Move up", "arrow_upward", at - 1), move("Move down", "arrow_downward", at + 1), remove), problems,
        make("div", { className: "t-builder-grid" }, labelled("Label", label, "What marketers see."), labelled("Name", identifier, "In layouts: [[ name ]]."), labelled("Kind", kind)),
        labelled("Help for marketers", text(field.help, (value) => set(field, "help", value))), ticks, limits);
      if (!field.fixed && known.limits[field.kind].length) part.append(languagePart(field));
      return part;
    };
    const draw = (at = -1, focus = "") => {
      rows.replaceChildren(...fields.map(card));
      if (!fields.length) rows.append(make("p", { className: "t-soft", textContent: "No fields yet. A block of this type says the same everywhere." }));
      if (at >= 0 && focus) rows.querySelectorAll(".t-builder-row")[at]?.querySelector(focus)?.focus();
    };
    const read = () => {
      try {
        const data = JSON.parse(source.value || "[]");
        if (!Array.isArray(data) || data.some((field) => typeof field !== "object" || field === null || Array.isArray(field) || !known.kinds.includes(field.kind))) return false;
        fields = data;
        draw();
        return true;
      } catch { return false; }
    };
    const show = (asJson) => {
      box.hidden = !asJson;
      bar.querySelector("[data-json]").setAttribute("aria-expanded", String(asJson));
    };
    bar.hidden = false;
    rows.hidden = false;
    show(!read());
    source.addEventListener("change", () => read());
    bar.querySelector("[data-json]").addEventListener("click", () => show(box.hidden));
    bar.querySelector("[data-add]").addEventListener("click", () => {
      fields.push({ name: "", label: "", kind: "text", max_length: 80 });
      told.clear();
      write();
      draw(fields.length - 1, "input");
      said.textContent = `Field ${fields.length} is added`;
    });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
