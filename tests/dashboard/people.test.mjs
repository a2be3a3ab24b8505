// What people do to each other and to themselves: two who edit one webhook, one who
// has nothing but a keyboard, one who sends what is to be harmless, one who watches.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { House } from "./house.mjs";

let house;
before(async () => { house = await House.start(); });
after(() => house?.end());

for (const js of [true, false]) {
  test(`two who edit one webhook, ${js ? "with" : "without"} JavaScript`, async () => {
    const webhook = await house.webhook({ name: `Shared ${js}` });
    const [one, other] = [await house.operator({ js }), await house.operator({ js })];
    const path = `/dashboard/t/default/webhooks/${webhook.id}/edit`;
    for (const page of [one, other]) await page.goto(path);
    const save = page => page.getByRole("button", { name: "Save", exact: true }).last().click();
    await one.getByLabel("Name", { exact: true }).fill("First");
    await save(one);
    await one.getByText("The webhook was saved.").waitFor();
    await other.getByLabel("Name", { exact: true }).fill("Second");
    await save(other);
    await other.getByRole("alert").getByText("Somebody else edited this webhook meanwhile").waitFor();
    assert.match(await other.getByRole("alert").innerText(), /name is now “First”/);
    assert.equal(await other.getByLabel("Name", { exact: true }).inputValue(), "Second");
    assert.equal((await house.api("GET", `/v1/webhooks/${webhook.id}`)).name, "First");
    await save(other);
    await other.getByText("The webhook was saved.").waitFor();
    assert.equal((await house.api("GET", `/v1/webhooks/${webhook.id}`)).name, "Second");
    for (const page of [one, other]) { assert.deepEqual(page.faults, []); await page.context().close(); }
  });
}

test("somebody who has nothing but a keyboard", async () => {
  const page = await house.window();
  const press = async (key, times = 1) => { for (let i = 0; i < times; i++) await page.keyboard.press(key); };
  const focused = () => page.evaluate(() => { const at = document.activeElement; return (at.labels?.[0]?.textContent || at.textContent || at.name || "").trim().replace(/\s+/g, " "); });
  const tabTo = async (what, most = 80) => {
    for (let i = 0; i < most; i++) { await press("Tab"); if ((await focused()).startsWith(what)) return; }
    throw new Error(`Tab never reaches ${what}`);
  };
  await page.goto("/dashboard");
  assert.equal(await focused(), "Operator's token");
  await page.keyboard.type("the-operator-of-the-dashboard");
  await press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await press("Tab");
  assert.equal(await focused(), "Skip to the content");
  await press("Enter");
  await tabTo("Create new");
  await press("Enter");
  await page.getByRole("heading", { name: "Create new" }).waitFor();
  await tabTo("Name");
  await page.keyboard.type("By keys");
  await tabTo("Destination URL");
  await page.keyboard.type(`${house.receiver.url}/keys`);
  await tabTo("Resource");
  await page.keyboard.type("order");
  await tabTo("Trigger");
  await page.keyboard.type("paid");
  await tabTo("Identifier");
  await press("Enter");
  await page.getByRole("heading", { name: "Webhooks", exact: true }).waitFor();
  await page.getByRole("row").filter({ hasText: "By keys" }).waitFor();

  // The keys of the pages themselves.
  await page.locator("body").press("?");
  await page.getByRole("dialog").waitFor();
  await press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  // For a moment the focus is still in what was closed.
  await page.evaluate(() => document.querySelector("#keys button").dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true })));
  assert.equal(await focused(), "Search");
  await page.evaluate(() => document.activeElement.blur());
  await press("/");
  assert.equal(await focused(), "Search");
  await page.keyboard.type("gw");
  assert.equal(await page.getByLabel("Search").inputValue(), "gw", "keys are letters in a field");
  await page.goto("/dashboard/t/default");
  await press("g"); await press("w");
  await page.getByRole("heading", { name: "Webhooks", exact: true }).waitFor();
  await press("j"); await press("j"); await press("k");
  await press("Enter");
  await page.getByRole("heading", { name: "By keys" }).waitFor();
  await page.getByText("Operator").first().click();
  await page.getByRole("button", { name: "Off", exact: true }).click();
  await press("g"); await press("e");
  await page.waitForTimeout(200);
  assert.match(page.url(), /webhooks/, "keys that are turned off do nothing");
  assert.deepEqual(page.faults, []);
});

test("a receiver that fails and recovers is watched live, and nothing moves", async () => {
  let broken = true;
  house.receiver.answer = ({ path }) => (path === "/live" && broken ? 503 : 200);
  const webhook = await house.webhook({ name: "Live", url: `${house.receiver.url}/live`, events: ["order.paid"], retry: { schedule_seconds: [1, 1, 1, 1, 1, 1, 1, 1] } });
  await house.publish("order.paid", "live-1");
  const page = await house.operator();
  await page.goto(`/dashboard/t/default/webhooks/${webhook.id}`);
  const row = page.getByRole("row").filter({ hasText: "live-1" });
  await row.getByText("waiting").waitFor();
  await row.getByText("503").first().waitFor();
  const before = await row.boundingBox();
  await house.publish("order.paid", "live-2");
  const more = page.getByRole("button", { name: /1 new/ });
  await more.waitFor();
  assert.equal(await page.getByRole("row").filter({ hasText: "live-2" }).count(), 0, "rows don't come by themselves");
  broken = false;
  await row.getByText("delivered").waitFor();
  assert.deepEqual(await row.boundingBox(), before, "a row stays where it is");
  await more.click();
  await page.getByRole("row").filter({ hasText: "live-2" }).waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("live updates say when they have ended, and begin again", async () => {
  const webhook = await house.webhook({ name: "Stale", events: ["order.deleted"] });
  const page = await house.operator();
  await page.goto(`/dashboard/t/default/webhooks/${webhook.id}`);
  await page.route("**/live?**", route => route.abort());
  const notice = page.getByText("Live updates paused");
  assert.equal(await notice.isVisible(), false);
  await page.reload();
  await notice.waitFor({ state: "visible" });
  await page.unroute("**/live?**");
  await page.getByRole("button", { name: "Reconnect" }).click();
  await notice.waitFor({ state: "hidden" });
  await page.context().close();
});

test("what is hostile is shown and harms nobody", async () => {
  const markup = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>'\"`${7*7}{{7*7}}";
  const bidi = "\u202Egnp.exe\u202C \u2066x";
  house.receiver.answer = ({ path }) => (path === "/hostile" ? { status: 500, headers: { "content-type": "text/html", "x-hostile": "<b>" }, body: markup + bidi + "\u0000\u0007\u001b[31m" + "A".repeat(10 * 1024 * 1024) } : 200);
  const webhook = await house.webhook({ name: markup, url: `${house.receiver.url}/hostile`, events: ["acme.hostile"], retry: { schedule_seconds: [] } });
  await house.api("POST", "/v1/events", { id: "hostile-1", type: "acme.hostile", subject: { id: markup, name: bidi }, data: { markup, bidi, control: "\u0001\u001b", long: "B".repeat(200_000) } });
  const delivery = await house.until("it failed", async () => (await house.api("GET", `/v1/webhooks/${webhook.id}/deliveries?state=failed`)).items[0]);
  for (const js of [true, false]) {
    const page = await house.operator({ js });
    for (const path of ["", "/webhooks", `/webhooks/${webhook.id}`, `/webhooks/${webhook.id}/settings`, `/webhooks/${webhook.id}/edit`, `/deliveries/${delivery.id}`, "/events", "/events/hostile-1", "/failed", "/failed/list", "/audit"]) {
      const answer = await page.goto(`/dashboard/t/default${path}`);
      assert.equal(answer.status(), 200, path);
      assert.doesNotMatch(await page.title(), /^owned/, path);
      assert.equal(await page.locator("img, main script, b").count(), 0, path);
      const html = await page.content();
      assert.doesNotMatch(html, /[\u0000\u0007\u001b]/, path);
      assert.ok(html.length < 1024 * 1024, `${path}: ${html.length}`);
    }
    assert.deepEqual(page.faults, []);
    await page.context().close();
  }
});

describe("portal", () => {
  test("somebody with a link sees one tenant and what the link allows", async () => {
    await house.webhook({ name: "Of acme" }, "acme");
    const link = await house.api("POST", "/v1/portal-links", { name: "Partner", scopes: ["read:webhooks"] }, "acme");
    const page = await house.window();
    await page.goto(link.url);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    assert.ok(!page.url().includes("cbp_"), "the token is gone from the address");
    assert.equal(await page.getByRole("link", { name: "Create new" }).count(), 0);
    await page.getByLabel("Pages", { exact: true }).getByRole("link", { name: "Webhooks" }).click();
    await page.getByRole("link", { name: "Of acme" }).waitFor();
    assert.equal(await page.getByText("Box office").count(), 0);
    for (const [path, said] of [["/dashboard/t/default/webhooks", "There is nothing here"], ["/dashboard/t/acme/events", "read:events"], ["/dashboard/t/acme/webhooks/new", "write:webhooks"], ["/dashboard/system", "operator"]]) {
      await page.goto(path);
      assert.ok((await page.locator("main").innerText()).includes(said), `${path} does not say ${said}`);
    }
    await page.context().close();
  });
});
