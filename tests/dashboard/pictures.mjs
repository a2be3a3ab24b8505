// Makes the pictures of the README: a house with something to see, and its pages.
import { mkdirSync } from "node:fs";
import { House } from "./house.mjs";

const folder = new URL("../../docs/pictures/", import.meta.url).pathname;
mkdirSync(folder, { recursive: true });
const house = await House.start();
try {
  const answers = { "/north": { status: 503, headers: { "retry-after": "120" }, body: "Our ticket office is being renovated." }, "/accounting": 401 };
  house.receiver.answer = ({ path }) => answers[path] ?? 200;
  const make = (name, path, more) => house.webhook({ name, url: house.receiver.url + path, ...more });
  await make("Box office, main hall", "/hall", { events: ["ticket.*", "order.paid"] });
  const north = await make("Partner portal North", "/north", { retry: { schedule_seconds: [600, 3600] } });
  await make("Accounting", "/accounting", { events: ["order.*"], retry: { schedule_seconds: [] } });
  const doors = await make("Access control, stadium", "/doors", { events: ["order.scanned"], ordering: "subject" });
  await house.api("POST", `/v1/webhooks/${doors.id}/pause`);
  await make("Ticket widget", "/widget", { dialect: "openticket", events: undefined, resource: "ticket", trigger: "update" });
  await make("viagogo seller feed", "/viagogo", { dialect: "viagogo", events: undefined, topics: ["Sales", "SaleUpdates"] });
  await make("Ingresse check-in", "/ingresse", { dialect: "ingresse", events: undefined, hooks: ["ticket", "checkin"] });
  const types = ["ticket.updated", "order.paid", "order.created", "sale.created"];
  for (let i = 0; i < 45; i++) {
    await house.publish(types[i % 4], `${408200 + i}`, {
      subject: { id: `${408200 + i}`, name: `Row ${1 + (i % 9)}, seat ${2 * i}` }, data: { quantity: 45 - i }, related: { event: ["24724"] },
    });
  }
  const { id: event } = await house.publish("order.paid", "9917", { subject: { id: "9917", name: "Order 9917" }, related: { ticket: ["408218"] } });
  const stats = `/v1/webhooks/${north.id}/deliveries?state=waiting`;
  await house.until("everything was tried", async () => (await house.api("GET", stats)).items.length === 46);

  const shoot = async (name, path, { theme = "light", height = 860 } = {}) => {
    const page = await house.operator({ theme, height });
    await page.goto(`/dashboard/t/default${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.screenshot({ path: `${folder}${name}.png` });
    await page.context().close();
  };
  await shoot("webhooks", "/webhooks", { height: 700 });
  await shoot("invocation-log", `/webhooks/${north.id}`);
  await shoot("why", `/events/${event}`, { height: 980 });
  await shoot("overview-dark", "", { theme: "dark", height: 640 });
} finally {
  await house.end();
}
