// The form that makes webhooks: of every dialect, with faults in words and input
// kept, with and without JavaScript.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { House } from "./house.mjs";

let house;
before(async () => { house = await House.start(); });
after(() => house?.end());

for (const js of [true, false]) {
  describe(js ? "with JavaScript" : "without JavaScript", () => {
    let page;
    before(async () => { page = await house.operator({ js }); });

    const fresh = async dialect => {
      await page.goto("/dashboard/webhooks/new");
      await page.getByRole("radio", { name: dialect }).check();
      if (!js) await page.getByRole("button", { name: "Show the fields of this dialect" }).click();
    };
    const create = () => page.getByRole("button", { name: "Create", exact: true }).last().click();
    const listed = async name => (await house.api("GET", "/v1/webhooks")).items.find(own => own.name === name);

    test("what is typed stays when the dialect is changed", async () => {
      await page.goto("/dashboard/webhooks/new");
      await page.getByLabel("Name", { exact: true }).fill("Kept");
      await page.getByRole("radio", { name: /^Native/ }).check();
      if (!js) await page.getByRole("button", { name: "Show the fields of this dialect" }).click();
      await page.getByLabel("Event types", { exact: true }).waitFor();
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Kept");
    });

    test("a viagogo webhook", async () => {
      await fresh(/^viagogo/);
      await page.getByLabel("Name", { exact: true }).fill(`North ${js}`);
      await page.getByLabel("Destination URL").fill(`${house.receiver.url}/v`);
      await page.getByRole("checkbox", { name: "SaleUpdates" }).check();
      await page.getByRole("checkbox", { name: /^Sales / }).check();
      await page.getByLabel("Authorization header").fill("Bearer sesame");
      await create();
      await page.getByRole("heading", { name: "Webhooks", exact: true }).waitFor();
      const made = await listed(`North ${js}`);
      assert.deepEqual([made.dialect, made.topics, made.authorization_header], ["viagogo", ["Sales", "SaleUpdates"], "********"]);
    });

    test("an Ingresse webhook", async () => {
      await fresh(/^Ingresse/);
      await page.getByLabel("Name", { exact: true }).fill(`South ${js}`);
      await page.getByLabel("Destination URL").fill(`${house.receiver.url}/i`);
      await page.getByRole("checkbox", { name: /^ticket/ }).check();
      await create();
      await page.getByRole("heading", { name: "Webhooks", exact: true }).waitFor();
      assert.deepEqual((await listed(`South ${js}`)).hooks, ["ticket"]);
    });

    test("a native webhook with all that it can have", async () => {
      await fresh(/^Native/);
      await page.getByLabel("Name", { exact: true }).fill(`East ${js}`);
      await page.getByLabel("Destination URL").fill(`${house.receiver.url}/n`);
      await page.getByLabel("Event types", { exact: true }).fill("ticket.*, order.paid");
      await page.getByText("More settings").click();
      await page.getByLabel("Filter", { exact: true }).fill("$[?@.quantity < 10]");
      await page.getByLabel("Order", { exact: true }).selectOption("latest");
      await page.getByLabel("Retry schedule").fill("1, 2.5");
      await page.getByLabel("Most requests a second").fill("7.5");
      await page.getByLabel("Headers", { exact: true }).fill("X-Shop: 12");
      await create();
      await page.getByRole("heading", { name: "Webhooks", exact: true }).waitFor();
      const made = await listed(`East ${js}`);
      assert.deepEqual(made.events, ["ticket.*", "order.paid"]);
      assert.deepEqual([made.filter, made.ordering, made.collapse, made.rate_per_second], ["$[?@.quantity < 10]", "subject", "latest", 7.5]);
      assert.deepEqual([made.retry.schedule_seconds, made.headers], [[1, 2.5], { "x-shop": "12" }]);
    });

    test("faults are told beside their fields, all at once, and nothing typed is lost", async () => {
      await fresh(/^Native/);
      await page.getByLabel("Name", { exact: true }).fill("Wrong");
      await page.getByLabel("Destination URL").fill("http://10.0.0.1/x");
      await page.getByLabel("Event types", { exact: true }).fill("ticket.sneezed");
      await create();
      await page.getByRole("alert").waitFor();
      assert.equal(await page.getByLabel("Event types", { exact: true }).inputValue(), "ticket.sneezed");
      assert.equal(await page.getByLabel("Event types", { exact: true }).getAttribute("aria-invalid"), "true");
      assert.match(await page.locator("#events-fault").innerText(), /sneezed/);
      await page.getByLabel("Event types", { exact: true }).fill("ticket.updated");
      await create();
      assert.match(await page.locator("#url-fault").innerText(), /egress\.allow/);
      assert.equal(await listed("Wrong"), undefined);
    });

    test("Check URL tells each step and saves nothing", async () => {
      await fresh(/^Native/);
      await page.getByLabel("Name", { exact: true }).fill("Checked");
      await page.getByLabel("Destination URL").fill(`${house.receiver.url}/check`);
      await page.getByLabel("Event types", { exact: true }).fill("*");
      house.receiver.answer = ({ path }) => (path === "/check" ? 401 : 200);
      await page.getByRole("button", { name: "Check URL" }).click();
      const check = page.getByRole("region", { name: "Check of the URL" });
      await check.waitFor();
      assert.match(await check.innerText(), /Connect\s+passed/);
      assert.match(await check.innerText(), /Ping\s+failed[\s\S]*401/);
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Checked");
      assert.equal(await listed("Checked"), undefined);
    });

    test("a pair that never fires is said to be one", async () => {
      await page.goto("/dashboard/webhooks/new");
      await page.getByLabel("Resource", { exact: true }).selectOption("scanner");
      await page.getByLabel("Trigger", { exact: true }).selectOption("paid");
      if (!js) await page.getByRole("button", { name: "Show the triggers of this resource" }).click();
      await page.getByText("The platform never fires this pair today").waitFor();
    });

    test("nothing went wrong in the browser", () => assert.deepEqual(page.faults, []));
  });
}

test("whoever goes on typing while the form fits itself loses nothing", async () => {
  const page = await house.operator();
  await page.goto("/dashboard/t/default/webhooks/new");
  let let_go;
  const held = new Promise(resolve => { let_go = resolve; });
  await page.route("**/webhooks/new", async route => { if (route.request().method() === "POST") await held; await route.continue(); });
  await page.getByRole("radio", { name: /^Native/ }).check();
  const name = page.getByLabel("Name", { exact: true });
  await name.click();
  await page.keyboard.type("Before ");
  let_go();
  await page.getByLabel("Event types", { exact: true }).waitFor();
  await page.keyboard.type("and after");
  assert.equal(await name.inputValue(), "Before and after");
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

for (const order of ["asked", "turned round"]) test(`whoever chooses faster than the form fits itself keeps what was chosen last, answers as ${order}`, async () => {
  const page = await house.operator();
  await page.goto("/dashboard/t/default/webhooks/new");
  const asked = [], questions = [];
  await page.route("**/webhooks/new", async route => {
    if (route.request().method() !== "POST") return route.continue();
    await new Promise(resolve => { asked.push(resolve); questions.push(route.request().postData()); });
    await route.continue();
  });
  const waitFor = async count => { while (asked.length < count) await page.evaluate(() => new Promise(requestAnimationFrame)); };
  const answered = () => page.waitForResponse(response => response.request().method() === "POST");
  const trigger = page.getByLabel("Trigger", { exact: true });
  await page.getByLabel("Resource", { exact: true }).selectOption("order");
  await waitFor(1);
  await trigger.selectOption("paid");
  await waitFor(2);
  assert.match(questions[1], /resource=order.*trigger=paid/);
  // The answer to the first question knows nothing of the second, whenever it comes.
  for (const answer of order === "asked" ? asked : asked.toReversed()) {
    const came = answered();
    answer();
    await (await came).finished();
    // Until what follows an answer is done.
    await page.evaluate(() => new Promise(resolve => setTimeout(resolve, 0)));
    assert.equal(await trigger.inputValue(), "paid");
  }
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
