// Says so when a choice did not get through; everything else on the page works without this file.
(() => {
  const box = document.getElementById("said-box");
  const failed = () => {
    document.getElementById("said").textContent = box.dataset.failed;
    document.getElementById("undo").textContent = "";
  };
  document.body.addEventListener("htmx:sendError", failed);
  document.body.addEventListener("htmx:timeout", failed);
  document.body.addEventListener("htmx:responseError", failed);
})();
