// Every page that links lead to: no violation of WCAG 2.2 AA that axe-core finds, in
// either theme and at three widths, nothing that goes wrong in the browser, no
// sideways scrolling, and little to load.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { House, axe } from "./house.mjs";

const WIDTHS = [320, 768, 1440];
let house;

before(async () => {
  house = await House.start();
  house.receiver.answer = ({ path }) => (path === "/broken" ? { status: 500, body: "<h1>no</h1>" } : 200);
  await house.webhook();
  await house.webhook({ name: "Broken", url: `${house.receiver.url}/broken`, retry: { schedule_seconds: [] } });
  await house.webhook({ name: "Waits", url: `${house.receiver.url}/broken`, retry: { schedule_seconds: [3600] } });
  const paused = await house.webhook({ name: "Paused" });
  await house.api("POST", `/v1/webhooks/${paused.id}/pause`);
  const disabled = await house.webhook({ name: "Disabled", dialect: "openticket", events: undefined, resource: "ticket", trigger: "update" });
  await house.api("POST", `/v1/webhooks/${disabled.id}/disable`);
  await house.webhook({ name: "North", dialect: "viagogo", events: undefined, topics: ["Sales"] });
  await house.webhook({ name: "South", dialect: "ingresse", events: undefined, hooks: ["ticket"] });
  for (let i = 0; i < 60; i++) await house.publish("ticket.updated", `40${i}`, { data: { quantity: i }, related: { event: ["1"] } });
  await house.publish("order.scanned", "9917");
  await house.api("POST", "/v1/clients", { name: "Shop", scopes: ["write:events"] });
  await house.api("POST", "/v1/portal-links", { name: "Partner" });
  await house.api("POST", "/v1/tenants", { id: "acme", name: "Acme" });
  await house.until("it was given up", async () => (await house.api("GET", "/v1/webhooks")).items.length === 7);
});
after(() => house?.end());

/// What of an address says which page it is.
const kind = url => new URL(url).pathname.replace(/[0-9a-f]{8}-[0-9a-f-]{27}|(dlv|job|aud|ptl)_\d+/g, "ID").replace(/(\/t\/)[^/]+/, "$1T").replace(/(catalogue|clients|tenants|events)\/[^/]+/, (text, word) => (text.endsWith("/new") ? text : `${word}/ID`));

/// One address of each kind of page, with and without a query.
async function addresses(page) {
  const seen = new Map();
  const queue = ["/dashboard"];
  while (queue.length) {
    const answer = await page.goto(queue.shift());
    const here = page.url();
    if (!(answer?.headers()["content-type"] ?? "").startsWith("text/html")) continue;
    assert.ok(answer.status() < 400, `${here}: ${answer.status()}`);
    const links = await page.$$eval("a[href]", own => own.map(a => a.href.split("#")[0]));
    for (const link of [here, ...links]) {
      const url = new URL(link);
      if (url.origin !== new URL(house.base).origin || !url.pathname.startsWith("/dashboard/") || url.pathname.includes("/assets/")) continue;
      if (/\.ndjson$|\/body$/.test(url.pathname)) continue;
      const name = kind(link) + (url.search ? `?${[...url.searchParams.keys()].sort()}` : "");
      if (!seen.has(name) && seen.size < 120) { seen.set(name, link); queue.push(link); }
    }
  }
  return seen;
}

describe("every page", () => {
  let page, found;
  before(async () => {
    page = await house.operator({ js: true });
    found = await addresses(page);
  });

  test("is found", () => {
    const kinds = [...found.keys()];
    for (const wanted of ["", "/webhooks", "/webhooks/new", "/webhooks/ID", "/webhooks/ID/health", "/webhooks/ID/settings", "/webhooks/ID/secret", "/webhooks/ID/edit", "/webhooks/ID/replay", "/webhooks/ID/delete", "/deliveries/ID", "/events", "/events/ID", "/send-event", "/failed", "/failed/list", "/failed/discard", "/catalogue", "/catalogue/ID", "/access", "/audit"]) {
      assert.ok(kinds.some(name => name.split("?")[0] === `/dashboard/t/T${wanted}`), `no link leads to ${wanted}: ${kinds.join("\n")}`);
    }
    assert.ok(kinds.some(name => name.startsWith("/dashboard/system")), kinds.join("\n"));
  });

  for (const theme of ["light", "dark"]) {
    test(`has no violation that axe finds, ${theme}`, async () => {
      const window = await house.operator({ theme });
      const violations = [];
      for (const [name, address] of found) {
        await window.goto(address);
        await window.evaluate(axe);
        // What a summary hides is a part of the page too.
        await window.$$eval("details:not(.menu)", own => own.forEach(one => { one.open = true; }));
        const { violations: some } = await window.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        for (const one of some) violations.push(`${name}: ${one.id}: ${one.nodes.slice(0, 3).map(node => `${node.html.slice(0, 160)} (${node.any[0]?.message ?? ""})`).join(" | ")}`);
      }
      assert.deepEqual(violations, []);
      assert.deepEqual(window.faults, []);
      await window.context().close();
    });
  }

  test("of the API's reference has no violation that axe finds", async () => {
    for (const theme of ["light", "dark"]) {
      const window = await house.window({ theme, width: 320 });
      for (const path of ["/docs", "/docs/operations/publish_events", "/docs/operations/on_order_paid", "/docs/schemas/WebhookInput"]) {
        await window.goto(path);
        await window.evaluate(axe);
        const { violations } = await window.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        assert.deepEqual(violations.map(one => `${path}: ${one.id}: ${one.nodes[0].html}`), []);
        assert.equal(await window.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, path);
      }
      assert.deepEqual(window.faults, []);
      await window.context().close();
    }
  });

  test("fits into every width without scrolling sideways", async () => {
    const wide = [];
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      for (const [name, address] of found) {
        await page.goto(address);
        await page.$$eval("details:not(.menu)", own => own.forEach(one => { one.open = true; }));
        const by = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (by > 0) wide.push(`${name} at ${width}: ${by} px`);
      }
    }
    assert.deepEqual(wide, []);
  });

  test("has targets of at least 24 pixels", async () => {
    await page.setViewportSize({ width: 768, height: 900 });
    const small = [];
    for (const [name, address] of found) {
      await page.goto(address);
      const found = await page.$$eval("button, input:not([type=hidden]), select, summary, nav a, .button", own => own
        .map(one => [one, one.getBoundingClientRect()])
        .filter(([one, box]) => box.width > 0 && !one.classList.contains("hidden") && !one.closest("label") && (box.height < 24 || box.width < 24))
        .map(([one, box]) => `${one.outerHTML.slice(0, 90)} ${Math.round(box.width)}x${Math.round(box.height)}`));
      for (const one of found) small.push(`${name}: ${one}`);
    }
    assert.deepEqual(small, []);
  });

  test("loads one style sheet and no script that keeps it waiting, below 100 KiB in all", async () => {
    for (const [name, address] of found) {
      const window = await house.operator();
      let bytes = 0;
      window.on("response", async answer => { bytes += (await answer.body().catch(() => Buffer.alloc(0))).length; });
      await window.goto(address, { waitUntil: "load" });
      const blocking = await window.$$eval("head script", own => own.filter(one => !one.defer && !one.async).length);
      assert.equal(blocking, 0, name);
      assert.equal(await window.$$eval("link[rel=stylesheet]", own => own.length), 1, name);
      assert.ok(bytes < 100 * 1024, `${name}: ${bytes} bytes`);
      await window.context().close();
    }
  });

  test("goes without anything in the browser going wrong", () => assert.deepEqual(page.faults, []));
});
