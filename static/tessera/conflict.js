// The comparison above a form that two people had open: its buttons put one of the texts into the field.
(() => {
  const section = document.getElementById("conflict");
  if (!section) return;
  section.focus({ preventScroll: true });
  section.scrollIntoView({ block: "start" });
  section.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-take]");
    const field = button && document.getElementById(button.dataset.take);
    if (!field) return;
    if (field.type === "checkbox") field.checked = button.dataset.text === "yes";
    else field.value = button.dataset.text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
    for (const other of button.parentElement.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", other === button ? "true" : "false");
    }
  });
})();
