// Lets this browser take messages, or stops it. What went wrong is said in the page's own words.
(() => {
  const form = document.getElementById("push");
  if (!form) return;
  const said = document.getElementById("push-said");
  const say = (what) => { said.textContent = form.dataset[what]; };
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) {
    say("unable");
    return;
  }
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const tell = async (subscription, more) => {
    const answer = await fetch(window.location.pathname + window.location.search, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ subscription: subscription.toJSON(), ...more }),
    });
    if (!answer.ok) throw new Error(String(answer.status));
  };
  const run = (work) => async (event) => {
    event.preventDefault();
    try {
      await work();
    } catch (error) {
      say(error.name === "NotAllowedError" ? "denied" : "failed");
    }
  };
  form.addEventListener("submit", run(async () => {
    const agree = [...form.querySelectorAll("input[name=purpose]:checked")].map((one) => ({
      purpose: one.value, shown: one.dataset.shown,
    }));
    await navigator.serviceWorker.register(form.dataset.worker, { scope: form.dataset.scope });
    const worker = await navigator.serviceWorker.getRegistration(form.dataset.scope);
    const subscription = await worker.pushManager.subscribe({
      userVisibleOnly: true, applicationServerKey: bytes(form.dataset.key),
    });
    await tell(subscription, { agree });
    say("on");
  }));
  document.getElementById("push-off").addEventListener("click", run(async () => {
    const worker = await navigator.serviceWorker.getRegistration(form.dataset.scope);
    const subscription = worker && (await worker.pushManager.getSubscription());
    if (subscription) {
      await tell(subscription, { leave: true });
      await subscription.unsubscribe();
    }
    say("off");
  }));
})();
