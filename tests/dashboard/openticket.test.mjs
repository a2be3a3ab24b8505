// The flow that OpenTicket's users know, word by word, with and without JavaScript.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { House } from "./house.mjs";

let house;
before(async () => { house = await House.start({ CALLBOARD_OPENTICKET_RETRY_BASE_SECONDS: "0.2" }); });
after(() => house?.end());

for (const js of [true, false]) {
  describe(js ? "with JavaScript" : "without JavaScript", () => {
    const name = `Shop ${js}`;
    let page;
    before(async () => { page = await house.operator({ js }); });

    test("a webhook is made and listed", async () => {
      await page.goto("/dashboard");
      await page.getByRole("link", { name: "Create new" }).click();
      await page.getByLabel("Name", { exact: true }).fill(name);
      await page.getByLabel("Destination URL").fill(`${house.receiver.url}/${js}`);
      await page.getByLabel("Resource", { exact: true }).selectOption("ticket");
      await page.getByLabel("Trigger", { exact: true }).selectOption("update");
      await page.getByRole("button", { name: "Create", exact: true }).last().click();
      await page.getByRole("heading", { name: "Webhooks", exact: true }).waitFor();
      const row = page.getByRole("row").filter({ hasText: name });
      await row.getByText("active").waitFor();
      assert.match(await row.innerText(), /ticket, on update/);
      const secret = await page.getByText(/^whsec_/).innerText();
      assert.match(secret, /^whsec_[A-Za-z0-9+/=]{40,}$/);
      await page.reload();
      assert.equal(await page.getByText(/^whsec_/).count(), 0, "a secret is shown once");
    });

    test("what failed is in the log and is retried", async () => {
      house.receiver.answer = ({ path }) => (path === `/${js}` ? 500 : 200);
      await house.publish("ticket.updated", `408218-${js}`);
      const webhook = (await house.api("GET", "/v1/webhooks")).items.find(own => own.name === name);
      await house.until("it failed", async () => (await house.api("GET", `/v1/webhooks/${webhook.id}/deliveries?state=failed`)).items[0]);
      await page.goto("/dashboard");
      await page.getByRole("link", { name: "Webhooks", exact: true }).first().click();
      await page.getByRole("link", { name }).click();
      await page.getByRole("heading", { name }).waitFor();
      await page.getByRole("link", { name: "Invocation log" }).click();
      const row = page.getByRole("row").filter({ hasText: `408218-${js}` });
      assert.match(await row.innerText(), /failed/);
      house.receiver.answer = () => 204;
      await page.getByRole("button", { name: /^Retry all failed invocations/ }).click();
      await house.until("it arrived", async () => (await house.api("GET", `/v1/webhooks/${webhook.id}/deliveries?state=delivered`)).items[0]);
      await page.reload();
      await page.getByRole("row").filter({ hasText: `408218-${js}` }).getByText("delivered").waitFor();
      const got = house.receiver.requests.filter(request => request.path === `/${js}`).at(-1);
      assert.equal(got.headers["openticket-identifier"].length > 0, true);
    });

    test("nothing went wrong in the browser", () => assert.deepEqual(page.faults, []));
  });
}
