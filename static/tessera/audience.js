// Clicking an example writes it into the rule's text area, as if it had been typed.
document.addEventListener("click", (event) => {
  const example = event.target.closest(".t-rule-example");
  if (!example) return;
  const textarea = example.closest(".t-rule").querySelector("textarea");
  textarea.focus();
  textarea.select();
  // Through the editor where the browser can, so that undo brings back what was there.
  if (!document.execCommand("insertText", false, example.dataset.rule)) textarea.value = example.dataset.rule;
  textarea.dispatchEvent(new Event("input", { bubbles: true }));
  textarea.setSelectionRange(0, 0);
});
