// What is done by buttons, by role and label: with JavaScript and without.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { House } from "./house.mjs";

let house;
before(async () => { house = await House.start({ CALLBOARD_OPENTICKET_RETRY_BASE_SECONDS: "600" }); });
after(() => house?.end());

for (const js of [true, false]) {
  describe(js ? "with JavaScript" : "without JavaScript", () => {
    const tenant = js ? "lively" : "plain";
    const base = `/dashboard/t/${tenant}`;
    const api = (method, path, body) => house.api(method, path, body, tenant);
    const hook = (name, path, more) => house.webhook({ name, url: house.receiver.url + path, ...more }, tenant);
    const deliveries = async (webhook, state) => (await api("GET", `/v1/webhooks/${webhook.id}/deliveries?state=${state}`)).items;
    const press = (name, from = page) => from.getByRole("button", { name }).first().click();
    /// Opens what a summary hides, unless it is open already.
    const unfold = async (summary, field) => { if (!(await field.isVisible())) await page.getByText(summary).click(); return field; };
    let page;
    before(async () => {
      await house.api("POST", "/v1/tenants", { id: tenant, name: tenant });
      page = await house.operator({ js });
    });

    test("a webhook is pinged, paused, resumed, disabled, enabled and deleted", async () => {
      const webhook = await hook("To and fro", "/ok");
      const status = async () => (await api("GET", `/v1/webhooks/${webhook.id}`)).status;
      await page.goto(`${base}/webhooks/${webhook.id}`);
      await press("Ping");
      await page.getByText("A ping is on its way").waitFor();
      await house.until("the ping arrives", async () => (await deliveries(webhook, "delivered"))[0]);
      for (const [button, said, now] of [["Pause", "is paused", "paused"], ["Resume", "active again", "active"], ["Disable", "is disabled", "disabled"], ["Enable", "is enabled", "active"]]) {
        await press(button);
        await page.getByRole("status").filter({ hasText: said }).waitFor();
        assert.equal(await status(), now);
      }
      await page.getByRole("link", { name: "Delete" }).click();
      await page.getByLabel(/^Type its name/).fill("something else");
      await press("Delete the webhook");
      await page.getByText("That is not its name.").waitFor();
      assert.equal(await page.getByLabel(/^Type its name/).inputValue(), "something else");
      await page.getByLabel(/^Type its name/).fill("To and fro");
      await press("Delete the webhook");
      await page.getByText("The webhook was deleted.").waitFor();
      assert.equal((await api("GET", "/v1/webhooks")).items.length, 0);
    });

    test("a secret is shown when somebody asks, and rotated with an overlap", async () => {
      const webhook = await hook("Secretive", "/ok");
      await page.goto(`${base}/webhooks/${webhook.id}/secret`);
      assert.equal(await page.getByText(webhook.secret).count(), 0);
      await press("Show the secret");
      await page.getByText(webhook.secret).first().waitFor();
      await page.getByLabel("The old one goes on signing").selectOption("3600");
      await press("Rotate the secret");
      await page.getByText("An old secret signs too for").waitFor();
      const now = await api("GET", `/v1/webhooks/${webhook.id}/secret`);
      assert.deepEqual([now.secret === webhook.secret, now.previous[0].secret], [false, webhook.secret]);
    });

    test("one invocation is stopped, resent, and a page says what is wrong", async () => {
      house.receiver.answer = ({ path }) => (path === "/slow" ? 503 : 200);
      const webhook = await hook("Waits", "/slow", { events: ["order.paid"], retry: { schedule_seconds: [3600] } });
      await house.publish("order.paid", "one", {}, tenant);
      const { id } = await house.until("it waits", async () => (await deliveries(webhook, "waiting"))[0]);
      await page.goto(`${base}/webhooks/${webhook.id}`);
      await page.getByRole("link", { name: /order\.paid/ }).first().click();
      await page.getByText("answered 503").first().waitFor();
      await press("Stop retrying");
      await page.getByText("it is not tried again").waitFor();
      assert.equal((await api("GET", `/v1/deliveries/${id}`)).state, "cancelled");
      house.receiver.answer = () => 200;
      await press("Resend");
      await house.until("it arrives", async () => (await deliveries(webhook, "delivered"))[0]);
    });

    test("a replay is counted first, and then started", async () => {
      const webhook = await hook("Again", "/again", { events: ["order.created"] });
      for (const subject of ["a", "b", "c"]) await house.publish("order.created", subject, {}, tenant);
      await house.until("they arrive", async () => (await deliveries(webhook, "delivered")).length === 3);
      const before = house.receiver.requests.filter(one => one.path === "/again").length;
      await page.goto(`${base}/webhooks/${webhook.id}/replay`);
      await page.getByLabel("Since (UTC)").fill("2026-01-01T00:00");
      await page.getByRole("checkbox", { name: "delivered" }).check();
      await press("Count");
      await page.getByRole("status").filter({ hasText: "3 would be sent" }).waitFor();
      await press("Start");
      await house.until("they arrive again", async () => house.receiver.requests.filter(one => one.path === "/again").length === before + 3);
    });

    test("what failed is retried, exported, and discarded by a typed word", async () => {
      house.receiver.answer = ({ path }) => (path === "/fails" ? 500 : 200);
      const webhook = await hook("Fails", "/fails", { events: ["order.deleted"], retry: { schedule_seconds: [] } });
      for (const subject of ["x", "y"]) await house.publish("order.deleted", subject, {}, tenant);
      await house.until("they fail", async () => (await deliveries(webhook, "failed")).length === 2);
      await page.goto(`${base}/failed`);
      const row = page.getByRole("row").filter({ hasText: "Fails" });
      await row.getByText("answered 500").first().waitFor();
      const exported = await page.request.get(`${base}/failed.ndjson`);
      const lines = (await exported.text()).trim().split("\n").map(line => JSON.parse(line));
      assert.deepEqual(lines.map(line => line.event.subject.id).sort(), ["x", "y"]);
      await press(/^Retry all/, row);
      await page.getByText("The job has started").waitFor();
      await house.until("they fail again", async () => (await deliveries(webhook, "failed")).filter(one => one.attempts === 2).length === 2);
      await page.goto(`${base}/failed`);
      await page.getByRole("row").filter({ hasText: "Fails" }).getByRole("link", { name: /^Discard/ }).click();
      await page.getByLabel(/^Type discard/).fill("yes");
      await press(/^Discard 2/);
      assert.equal(await page.getByLabel(/^Type discard/).getAttribute("aria-invalid"), "true");
      await page.getByLabel(/^Type discard/).fill("discard");
      await press(/^Discard 2/);
      await house.until("none is failed", async () => (await deliveries(webhook, "failed")).length === 0);
      assert.equal((await deliveries(webhook, "cancelled")).length, 2);
      house.receiver.answer = () => 200;
    });

    test("a test event is sent, and its page says whom it reached and why not others", async () => {
      await hook("Hears scans", "/scans", { events: ["order.scanned"] });
      await hook("Hears tickets alone", "/tickets", { events: ["ticket.created"] });
      await page.goto(`${base}/events`);
      await page.getByRole("link", { name: "Send a test event" }).click();
      await page.getByLabel("Type", { exact: true }).selectOption("order.scanned");
      await press("Show the example");
      const body = page.getByLabel("Event", { exact: true });
      const example = await body.inputValue();
      await body.fill(example.replace('"order.scanned"', '"order.sneezed"'));
      await press("Publish");
      await page.getByText(/sneezed/).first().waitFor();
      assert.match(await body.inputValue(), /sneezed/);
      await body.fill(example);
      await press("Publish");
      await page.getByRole("heading", { name: "order.scanned" }).waitFor();
      await page.getByRole("row").filter({ hasText: "Hears scans" }).first().waitFor();
      const why = page.getByRole("row").filter({ hasText: "Hears tickets alone" });
      assert.match(await why.innerText(), /it asks for ticket\.created, not for order\.scanned/);
      await page.goto(`${base}/events?subject=${JSON.parse(example).subject.id}`);
      await page.getByRole("link", { name: "order.scanned" }).first().waitFor();
    });

    test("a client is made, disabled and deleted, and a portal link made and revoked", async () => {
      await page.goto(`${base}/access`);
      await (await unfold("Create a client", page.getByLabel("Name", { exact: true }).first())).fill("Shop");
      await page.getByRole("checkbox", { name: /write:events/ }).first().check();
      await press("Create client");
      await page.getByRole("heading", { name: /Keep this of the client/ }).waitFor();
      const secret = await page.getByText(/^cbs_/).first().innerText();
      const [client] = (await api("GET", "/v1/clients")).items;
      const token = () => fetch(`${house.base}/oauth2/token`, { method: "POST", body: new URLSearchParams({ grant_type: "client_credentials", client_id: client.client_id, client_secret: secret }) });
      const first = await token();
      assert.equal(first.status, 200, `${secret} ${await first.clone().text()}`);
      await page.goto(`${base}/access`);
      const row = page.getByRole("row").filter({ hasText: "Shop" });
      await press(/^Disable/, row);
      await page.getByText("The client gets no more tokens").waitFor();
      await house.until("it is refused", async () => (await token()).status === 401);
      await page.getByRole("row").filter({ hasText: "Shop" }).getByRole("link", { name: /^Delete/ }).click();
      await page.getByLabel(/^Type Shop/).fill("Shop");
      await press("Delete client");
      await page.getByText("The client was deleted").waitFor();
      await (await unfold("Create a portal link", page.getByLabel("Name", { exact: true }).last())).fill("Partner");
      await press("Create portal link");
      const url = await page.getByText(/\/portal\/cbp_/).first().innerText();
      assert.equal((await fetch(url, { redirect: "manual" })).status, 303);
      await page.goto(`${base}/access`);
      await press(/^Revoke/, page.getByRole("row").filter({ hasText: "Partner" }));
      await page.getByText("The portal link was revoked").waitFor();
      assert.equal((await fetch(url, { redirect: "manual" })).status, 404);
    });

    test("the theme is kept, a tenant is made, a link signs in once, and signing out ends it", async () => {
      await page.goto(base);
      await page.getByText("Operator").first().click();
      await press("Dark");
      assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
      await page.goto("/dashboard/system");
      await (await unfold("Create a tenant", page.getByLabel("Id", { exact: true }))).fill(`made-${tenant}`);
      await page.getByLabel("Name", { exact: true }).fill("Made here");
      await press("Create tenant");
      await page.getByRole("status").waitFor();
      assert.equal((await house.api("GET", `/v1/tenants/made-${tenant}`)).name, "Made here");
      const { url } = await house.api("POST", "/v1/sign-in-links");
      const other = await house.window({ js });
      await other.goto(url);
      await other.getByRole("heading", { name: "Overview" }).waitFor();
      const late = await house.window({ js });
      await late.goto(url);
      await late.getByText("This link opens nothing").first().waitFor();
      await other.getByText("Operator").first().click();
      await press("Sign out", other);
      await other.goto(base);
      await other.getByLabel("Operator's token").waitFor();
    });

    test("nothing went wrong in the browser", () => assert.deepEqual(page.faults, []));
  });
}
