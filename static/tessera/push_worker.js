// Shows what comes by push, and opens its link when it is pressed. A message that comes again replaces itself.
self.addEventListener("push", (event) => {
  let said = {};
  try {
    said = event.data ? event.data.json() : {};
  } catch {
    return;
  }
  if (!said.title) return;
  event.waitUntil(
    self.registration.showNotification(said.title, {
      body: said.body, tag: said.tag, image: said.image, data: { url: said.url },
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const url = event.notification.data && event.notification.data.url;
  if (url && /^https?:/.test(url)) event.waitUntil(self.clients.openWindow(url));
});
