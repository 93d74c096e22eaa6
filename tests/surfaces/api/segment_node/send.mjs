// Sends one call of each kind with Segment's library. Arguments: host, write key.
import { Analytics } from "@segment/analytics-node";

const [host, writeKey] = process.argv.slice(2);
const analytics = new Analytics({ writeKey, host, maxRetries: 0 });
const failed = [];
analytics.on("error", (error) => failed.push(error.reason ?? error));

analytics.track({ anonymousId: "phone-1", event: "Product Viewed", properties: { sku: "TEA-1" } });
analytics.page({ anonymousId: "phone-1", name: "Home", properties: { url: "https://shop.example/?who=anna" } });
analytics.screen({ anonymousId: "phone-1", name: "Basket" });
analytics.identify({ userId: "n-1", anonymousId: "phone-1", traits: { email: "nora@example.com", plan: "pro" } });
analytics.group({ userId: "n-1", groupId: "company-1", traits: { name: "Initech" } });
analytics.alias({ userId: "n-2", previousId: "n-1" });
await analytics.closeAndFlush({ timeout: 5000 });
console.log(JSON.stringify({ failed: failed.map(String) }));
